"""The state machine that lets a controller's actions through, or does not."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np

from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import RobotSpec
from mbmf_ros.safety.config import SafetyConfig
from mbmf_ros.safety.limits import Postures, crossed, faded


class Mode(enum.IntEnum):
    """What the layer does; the values of ``SafetyState.MODE_*``."""

    DISABLED = 0
    RAMPING = 1
    ACTIVE = 2
    HOLDING = 3
    TRIPPED = 4
    ESTOP = 5


_STATUS = {  # RobotState.STATUS_*
    Mode.RAMPING: 0,
    Mode.ACTIVE: 0,
    Mode.ESTOP: 2,
    Mode.DISABLED: 4,
    Mode.HOLDING: 5,
    Mode.TRIPPED: 6,
}
_STOPPED = (Mode.DISABLED, Mode.TRIPPED, Mode.ESTOP)
_NEVER_ENABLED = "not enabled yet"


class Safety:
    """Decides what a robot may do, once per control period: first :meth:`update`, then :meth:`limit`.

    Times are seconds of one clock that never goes back; whose it is, is the caller's choice.

    Args:
        spec: the robot.
        config: the limits.
        joint_range: lower and upper limit of each joint [rad], (joints, 2); None: not known.
        postures: where an action is where its joint shall be, ``center + scale * action``: both, (nu,) each [rad].

    Attributes:
        mode: what it does now.
        reason: why, one line for people; empty while all is well.
        ramp: share of an action's distance from the safe action that is let through, 0 to 1.
        run_time_s: time in motion since the robot was enabled [s].
        limited: actions that a limit changed, since the start; growing to full size does not count.
        computed: the action that :meth:`limit` came to last, (nu,); in a dry run it is not the one that it returned.

    Raises:
        MbmfError: a joint range of another robot, or limits that do not fit the robot.
    """

    def __init__(
        self,
        spec: RobotSpec,
        config: SafetyConfig,
        joint_range: np.ndarray | None = None,
        postures: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self.spec = spec
        self._range_known = joint_range is not None
        ranges = np.tile((-np.inf, np.inf), (len(spec.joints), 1)) if joint_range is None else np.array(joint_range)
        if ranges.shape != (len(spec.joints), 2) or not (ranges[:, 0] < ranges[:, 1]).all():
            raise MbmfError(
                f"joint_range: expected a lower and an upper limit [rad] for each of {len(spec.joints)} joints of "
                f"{spec.name!r}, got {ranges.tolist()}"
            )
        driven = [spec.joints.index(name) for name in spec.actuated_joints]
        self._driven = spec.measurement.joint_position.start + np.array(driven, dtype=int)
        self._range = ranges[driven]
        self._postures = None if postures is None else Postures(*postures, self._range)
        self._safe = np.array(spec.safe_action, dtype=np.float64)
        self.config = config
        self.configure(config)
        # Until an update says that all is well nothing passes.
        self.mode, self.reason = (Mode.HOLDING, "starting") if config.auto_enable else (Mode.DISABLED, _NEVER_ENABLED)
        self.ramp, self.run_time_s, self.limited = 0.0, 0.0, 0
        self.computed = self._last = self._safe
        self._crossed = ""  # the limit that the robot was beyond when it was measured last
        self._pressed_s = float("-inf")
        self._updated_s: float | None = None
        self._limited_s: float | None = None
        self._ramp_from_s = 0.0
        self._kept_disabled = False  # by hand: clearing a stop does not enable

    @property
    def passing(self) -> bool:
        """The controller's actions reach the robot, within the limits."""
        return self.mode in (Mode.RAMPING, Mode.ACTIVE) and not self.config.dry_run

    def status(self) -> int:
        """What ``RobotState.status`` says of the mode."""
        return _STATUS[self.mode]

    def configure(self, config: SafetyConfig) -> None:
        """Take over other settings. That starts nothing: no enabled robot is let out of a dry run or off a dead man.

        Raises:
            MbmfError: settings that do not fit the robot, or that may not be changed now; the old ones stay.
        """
        if np.abs(self._safe).max(initial=0.0) > config.action_limit:
            raise MbmfError(
                f"action_limit: expected room for the safe action of {self.spec.name!r}, {self._safe.tolist()}, "
                f"got {config.action_limit:g}"
            )
        if config.joint_margin > 0 and not self._range_known:
            raise MbmfError("joint_margin: the joints' ranges are not known; give them, or set it to 0")
        if self._postures is not None and (problem := self._postures.problem(self.spec, config.joint_margin)):
            raise MbmfError(f"joint_margin: {problem}")
        for name in ("dry_run", "dead_man"):
            if getattr(self.config, name) and not getattr(config, name) and self.mode not in _STOPPED:
                raise MbmfError(f"{name}: without it the robot could start to move at once; disable it first")
        if config.auto_enable and not self.config.auto_enable:
            raise MbmfError("auto_enable: it may not be switched on while the bridge runs; enable the robot by hand")
        self.config = config

    # What people ask for ----------------------------------------------------------------------------------------------

    def enable(self, now_s: float, problems: Sequence[str] = ()) -> tuple[bool, str]:
        """Let actions through from now on, growing over the ramp; refused while there are ``problems``.

        Returns:
            Whether it is enabled, and what it did or why not.
        """
        if self.mode in (Mode.TRIPPED, Mode.ESTOP):
            return False, f"{self.reason}; clear it first"
        if self.mode is not Mode.DISABLED:
            return True, "enabled already"
        problems = [*problems, self._crossed] if self._crossed else problems
        if problems:
            return False, "not enabled: " + "; ".join(problems)
        self._kept_disabled = False
        self.run_time_s = 0.0
        self._begin(now_s)
        return True, "enabled"

    def disable(self, reason: str) -> None:
        """Let nothing through until :meth:`enable`; a stop or trip stays latched."""
        self._kept_disabled = True
        if self.mode not in (Mode.TRIPPED, Mode.ESTOP):
            self._go(Mode.DISABLED, reason)

    def estop(self, reason: str) -> None:
        """Let nothing through until :meth:`clear`; the first reason stays."""
        if self.mode is not Mode.ESTOP:
            self._go(Mode.ESTOP, reason)

    def trip(self, reason: str) -> None:
        """Let nothing through until :meth:`clear`, for what the caller knows of; a robot that is stopped stays so."""
        if self.mode not in _STOPPED:
            self._go(Mode.TRIPPED, reason)

    def clear(self, now_s: float, problems: Sequence[str] = ()) -> tuple[bool, str]:
        """Unlatch a stop or trip. The robot is then disabled; with ``auto_enable`` it is enabled again.

        Args:
            now_s: the time.
            problems: why the robot may not be enabled now; with any, it is left disabled.

        Returns:
            Whether nothing is latched any more, and what it did or why not.
        """
        if self.mode is Mode.DISABLED:
            return False, f"nothing to clear: disabled, {self.reason}"
        if self.mode not in (Mode.TRIPPED, Mode.ESTOP):
            return True, "nothing to clear"
        if self._crossed and self.mode is Mode.TRIPPED:
            return False, f"not cleared: still {self._crossed}"
        cleared = self.reason
        self._go(Mode.DISABLED, f"cleared: {cleared}")
        if not self.config.auto_enable or self._kept_disabled:
            return True, "cleared; disabled until it is enabled"
        enabled, text = self.enable(now_s, problems)
        return True, f"cleared; {'enabled again' if enabled else text}"

    def press_dead_man(self, pressed: bool, now_s: float) -> None:
        """What the dead-man switch says; it has to say so again within ``dead_man_timeout``."""
        self._pressed_s = now_s if pressed else float("-inf")

    # Once per control period ------------------------------------------------------------------------------------------

    def update(
        self,
        now_s: float,
        m: np.ndarray | None,
        causes: Sequence[str] = (),
        unanswered: int = 0,
        no_answer: str = "the controller does not answer",
    ) -> Mode:
        """Take in the moment and go on to the mode that it asks for.

        Args:
            now_s: the time.
            m: the measurement (nm,); None: there is none.
            causes: why control is lost now, such as a silent sensor; the robot holds as long as there are any.
            unanswered: control periods in a row for which the controller's answer is missing, this one included; with
                more than ``command_timeout_periods`` the robot holds.
            no_answer: what to say then.
        """
        moving = self.mode in (Mode.RAMPING, Mode.ACTIVE)
        if moving and self._updated_s is not None:
            self.run_time_s += max(now_s - self._updated_s, 0.0)
        self._updated_s = now_s
        problem = "there is no measurement" if m is None else self.spec.measurement.problem(m)
        if m is not None and not problem:  # a robot that cannot be seen is where it was seen last
            self._crossed = crossed(self.spec, self.config, m)
        if self.mode in _STOPPED:
            return self.mode
        longest_s = self.config.max_run_time
        if self._crossed:
            self._go(Mode.TRIPPED, self._crossed)
        elif 0 < longest_s <= self.run_time_s:
            self._go(Mode.TRIPPED, f"in motion for {self.run_time_s:.1f} s, max_run_time is {longest_s:g} s")
        else:
            if unanswered > self.config.command_timeout_periods:
                causes = [*causes, no_answer]
            self._hold_or_go_on(now_s, [*causes, *self._causes(now_s, problem)])
        return self.mode

    def _causes(self, now_s: float, problem: str | None) -> list[str]:
        causes = [problem] if problem else []
        if self.config.dead_man and not 0 <= now_s - self._pressed_s <= self.config.dead_man_timeout:
            causes.append("the dead-man switch is not pressed")
        return causes

    def _hold_or_go_on(self, now_s: float, causes: list[str]) -> None:
        if causes:
            self._go(Mode.HOLDING, "; ".join(causes))
        elif self.mode is Mode.HOLDING:
            self._begin(now_s)
        else:
            self._grow(now_s)

    def _begin(self, now_s: float) -> None:
        self._ramp_from_s = now_s
        self.mode = Mode.RAMPING
        self._grow(now_s)

    def _grow(self, now_s: float) -> None:
        if self.mode is Mode.RAMPING:
            ramp_s = self.config.ramp
            self.ramp = 1.0 if ramp_s <= 0 else min(max((now_s - self._ramp_from_s) / ramp_s, 0.0), 1.0)
            self._go(Mode.ACTIVE if self.ramp == 1 else Mode.RAMPING, "")

    def _go(self, mode: Mode, reason: str) -> None:
        self.mode, self.reason = mode, reason
        if mode not in (Mode.RAMPING, Mode.ACTIVE):
            self.ramp = 0.0

    def limit(self, action: np.ndarray, m: np.ndarray | None, now_s: float) -> np.ndarray:
        """The action (nu,) to apply in place of ``action``: within every limit, always finite.

        While the mode lets nothing through, and for anything that is not (nu,) finite numbers, it is the safe action,
        at once and whatever the limit on its rate. That limit yields to the others, which only ever take away (of
        postures nothing can be taken away: there it yields to none); it counts from what was applied before, over the
        time since then but no more than one control period.

        Args:
            action: the controller's, (nu,).
            m: the measurement (nm,); None: there is none.
            now_s: the time.
        """
        period_s = self.spec.dt_s
        if self._limited_s is not None:
            period_s = min(max(now_s - self._limited_s, 0.0), period_s)
        self._limited_s = now_s
        self.computed = self._within(np.asarray(action, dtype=np.float64), m, period_s)
        self._last = self.computed if self.passing else self._safe
        return self._last.copy()

    def _within(self, action: np.ndarray, m: np.ndarray | None, period_s: float) -> np.ndarray:
        config = self.config
        if self.mode not in (Mode.RAMPING, Mode.ACTIVE):
            return self._safe
        unseen = m is None or self.spec.measurement.problem(m) is not None
        blind = unseen and config.joint_margin > 0 and self._postures is None
        if blind or action.shape != self._safe.shape or not np.isfinite(action).all():
            self.limited += 1
            return self._safe
        out = wanted = self._safe + self.ramp * (action - self._safe)
        if self._postures is not None:
            out = self._postures.inside(np.clip(out, -config.action_limit, config.action_limit), config.joint_margin)
        if config.action_rate > 0:
            before = self.computed if config.dry_run else self._last
            out = np.clip(out, before - config.action_rate * period_s, before + config.action_rate * period_s)
        if self._postures is None:
            out = np.clip(out, -config.action_limit, config.action_limit)
            if m is not None:
                out = faded(out, m[self._driven], self._range, config.joint_margin)
        self.limited += bool((out != wanted).any())
        return out
