"""From a robot's messages to its measurement vector: what a hardware bridge knows at the beginning of a control period.

Joints are mapped by name; roll and pitch are the IMU's, heading and position the odometry's or the motion capture's.
Samples of one instant are brought forward, by their velocities, to the instant that is asked for: the newest lies up to
one sensor period back, differently far every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbmf_ros.errors import MbmfError
from mbmf_ros.hardware.config import HardwareConfig
from mbmf_ros.hardware.derivative import Derivative
from mbmf_ros.hardware.rotations import from_vector, inverse, product, rotate, with_heading_of
from mbmf_ros.hardware.samples import ImuReader, ImuSample, JointReader, JointSample, PoseReader, PoseSample
from mbmf_ros.hardware.settings import InputConfig
from mbmf_ros.hardware.synchroniser import Input, Stamped, Synchroniser

INPUTS = ("joint_states", "imu", "pose")
LATE = (
    "older than max_age when they arrive; is the connection slow? If instead the robot's clock was set back, disable "
    "the robot, then enable it twice: the first time is refused"
)


class Estimator:
    """Takes messages in as they arrive, and gives the measurement for an instant.

    Times ``arrival_s`` and ``now_s`` are of one steady clock [s]; stamps are the robot's own.

    Args:
        config: the robot.

    Attributes:
        inputs: by name, see :data:`INPUTS`.
        max_age_s: a measurement older than this says nothing about now [s].
    """

    def __init__(self, config: HardwareConfig):
        self.config, self.spec = config, config.spec
        self.inputs = {name: Input(config.sync.clock_jump, self.settings(name).max_age) for name in INPUTS}
        self._synchroniser = Synchroniser(self.inputs, config.sync)
        self._joint_reader = JointReader(config)
        self._imu_reader = ImuReader(config.imu)
        self._oriented = False  # the IMU has given an orientation; until then it is for the start-up checks to tell
        self._pose_reader = PoseReader(config.pose)
        self._derivatives = {
            "joint_states": Derivative(config.joint_states.velocity_filter),
            "pose": Derivative(config.pose.velocity_filter),
        }
        slowest = min(self.settings(name).rate for name in INPUTS)
        self._stale_s = max(self.spec.dt_s, 2.0 / slowest)
        self.max_age_s = max(self.settings(name).max_age for name in INPUTS)
        self._used_stamp_s = float("nan")  # of the last measurement, by the robot's clock
        self._measured_s = float("-inf")  # when it was made, by ours

    def settings(self, name: str) -> InputConfig:
        """The configuration of an input."""
        return getattr(self.config, name)

    # Messages in ------------------------------------------------------------------------------------------------------

    def take_joints(
        self,
        stamp_s: float,
        arrival_s: float,
        names: Sequence[str],
        position: Sequence[float],
        velocity: Sequence[float],
    ) -> None:
        """Take in joint states, in the robot's units; ``velocity`` may be empty.

        Raises:
            MbmfError: they are malformed.
        """
        sample = self._joint_reader.read(names, position, velocity)
        if not self._admit("joint_states", stamp_s, arrival_s):
            return
        if sample.velocity is None:
            sample = replace(sample, velocity=self._derivatives["joint_states"].update(stamp_s, sample.position))
        if sample.velocity is not None:
            self.inputs["joint_states"].add(Stamped(stamp_s, arrival_s, sample))

    def take_imu(
        self,
        stamp_s: float,
        arrival_s: float,
        orientation: np.ndarray | None,
        angular_velocity: np.ndarray,
        specific_force: np.ndarray | None,
    ) -> None:
        """Take in an inertial measurement in the IMU's frame; None: not measured.

        Raises:
            MbmfError: it is malformed; or the orientation that tells the tilt is not measured any more.
        """
        sample = self._imu_reader.read(orientation, angular_velocity, specific_force)
        if self.config.imu.tilt == "imu":
            if sample.orientation is None and self._oriented:
                raise MbmfError("the IMU gives no orientation any more, and imu.tilt says that the tilt is the IMU's")
            self._oriented |= sample.orientation is not None
        if self._admit("imu", stamp_s, arrival_s):
            self.inputs["imu"].add(Stamped(stamp_s, arrival_s, sample))

    def take_pose(
        self,
        stamp_s: float,
        arrival_s: float,
        frame: str,
        position: np.ndarray,
        orientation: np.ndarray,
        linear: np.ndarray | None = None,
        angular: np.ndarray | None = None,
    ) -> None:
        """Take in odometry, or a pose of motion capture, which has no velocities.

        Raises:
            MbmfError: it is malformed.
        """
        sample = self._pose_reader.read(frame, position, orientation, linear, angular)
        if not self._admit("pose", stamp_s, arrival_s):
            return
        if sample.velocity is None:
            velocity = self._derivatives["pose"].update(stamp_s, sample.position)
            if velocity is None:
                return
            sample = replace(sample, velocity=rotate(inverse(sample.orientation), velocity))
        self.inputs["pose"].add(Stamped(stamp_s, arrival_s, sample))

    def _admit(self, name: str, stamp_s: float, arrival_s: float) -> bool:
        verdict = self.inputs[name].admit(stamp_s, arrival_s)
        if verdict == "jump" and name in self._derivatives:
            self._derivatives[name].reset()
        return verdict != "old"

    # The measurement --------------------------------------------------------------------------------------------------

    def silent(self, now_s: float) -> list[str]:
        """Inputs that have not been heard for longer than they may, one line each."""
        lines = []
        for name, one in self.inputs.items():
            settings = self.settings(name)
            if one.age_s(now_s) > settings.max_age:
                lines.append(f"{name}: nothing usable on {settings.topic} for more than {settings.max_age:g} s")
        return lines

    def late(self) -> list[str]:
        """Inputs whose messages are too old when they arrive, in one line; none: no line."""
        names = [name for name, one in self.inputs.items() if one.clock.late]
        return [f"{', '.join(names)}: {LATE}"] if names else []

    def trust_clock(self) -> None:
        """What is late counts as in time from now on: somebody was told, and says that the robot's clock was set."""
        for one in self.inputs.values() if self.late() else ():
            one.clock.trust()

    def measure(self, now_s: float) -> tuple[np.ndarray | None, list[str]]:
        """The measurement (nm,) at ``now_s``, and why control is lost.

        None without a reason: this once there is no fresh one; the last one may have to do.
        """
        if causes := self.silent(now_s):
            return None, causes
        offset_s, late = self._synchroniser.offset_s, self.late()
        # Stamps of before a jump are not comparable with those of after it; of small ones not every input tells.
        found = self._synchroniser.newest() if self._synchroniser.apart_s <= self._stale_s else None
        if found is not None and not late:
            oldest_s = min(message.stamp_s for message in found.values())
            fresh = now_s - offset_s - oldest_s <= self._stale_s + self._synchroniser.offset_spread_s
            if fresh and oldest_s != self._used_stamp_s:
                self._used_stamp_s, self._measured_s = oldest_s, now_s
                m = self._assemble(found, now_s - offset_s)
                problem = self.spec.measurement.problem(m)
                return (None, [problem]) if problem else (m, [])
        if now_s - self._measured_s <= self.max_age_s:
            return None, []  # a hitch, as when the robot's clock jumps: no reason to hold
        if late:
            return None, late
        if found is not None:
            return None, ["messages arrive late, and then many at once; is the computer or the network busy?"]
        return None, [
            f"no joint_states, imu and pose of one instant (sync.tolerance {self.config.sync.tolerance:g} s); "
            "where their stamps are of different clocks, set sync.stamps: arrival"
        ]

    def _assemble(self, found: dict[str, Stamped], instant_s: float) -> np.ndarray:
        layout = self.spec.measurement
        joints: JointSample = found["joint_states"].sample
        imu: ImuSample = found["imu"].sample
        pose: PoseSample = found["pose"].sample
        ahead_s = {name: instant_s - message.stamp_s for name, message in found.items()}
        assert joints.velocity is not None
        assert pose.velocity is not None
        heading = self._turned(pose.orientation, imu.angular_velocity, ahead_s["pose"])
        q = heading
        if self.config.imu.tilt == "imu" and imu.orientation is not None:
            q = with_heading_of(self._turned(imu.orientation, imu.angular_velocity, ahead_s["imu"]), heading)
        m = np.empty(layout.size)
        m[layout.position] = pose.position + ahead_s["pose"] * rotate(pose.orientation, pose.velocity)
        m[layout.orientation] = q
        m[layout.linear_velocity] = pose.velocity
        m[layout.angular_velocity] = imu.angular_velocity
        m[layout.joint_position] = joints.position + ahead_s["joint_states"] * joints.velocity
        m[layout.joint_velocity] = joints.velocity
        return m

    @staticmethod
    def _turned(q: np.ndarray, angular_velocity: np.ndarray, duration_s: float) -> np.ndarray:
        return product(q, from_vector(duration_s * angular_velocity))
