"""Logs what the robot experiences, learns its dynamics from that in a process of its own, and publishes the model.

It trains on request, or, if ``continuous``, again and again by itself; see :mod:`mbmf_ros.dynamics.continual`.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.data.motion import moved, moving
from mbmf_ros.data.recorder import Recorder
from mbmf_ros.dynamics.continual import Continual
from mbmf_ros.dynamics.retrain import Retraining, RetrainTask
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import ControllerStats, LearnerStatus, Model, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.conversions import state_from
from mbmf_ros.nodes.learner_config import LearnerConfig
from mbmf_ros.nodes.learner_report import Trainings, diagnosis, fill_status
from mbmf_ros.nodes.model_in_force import ModelInForce, first_model, read_model
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.runtime import ERROR, OK, STEADY, WARN, Diagnostics, declare, run
from mbmf_ros.nodes.services import offer
from mbmf_ros.robots import robot
from mbmf_ros.run_folder import RUN_VARIABLE, KeptModel, home, new_run, write_whole
from mbmf_ros.threads import one_thread

_TICK_S = 0.25  # how often the log is flushed when due, and training and change are looked at
_MOST_VERSIONS = 2**31  # no learner comes that far
_REPORT_S = 1.0  # how often the status is published when nothing happens


class DynamicsLearner(Node):
    """The node. Training happens in a worker process, so states are logged all the while.

    Raises:
        MbmfError: unusable parameters.
    """

    def __init__(self, **kwargs: Any):
        super().__init__("dynamics_learner", **kwargs)
        self._config = c = declare(self, LearnerConfig())
        self._spec = robot(c.robot)
        if c.base_file and not c.base_file.is_file():
            raise MbmfError(f"base_data: there is no file {c.base_file}; make one with `mbmf collect`")
        self._first, problem = first_model(self._spec, c.model_path, c.dynamics.profile)
        if problem:
            self.get_logger().warning(problem)
        take: Any = self._on_state  # raw: it is called with the bytes of a RobotState
        self.create_subscription(RobotState, "state", take, qos.STATE_ALL, raw=True)  # waits while the log is read
        self._version, self._paused, self._passed = 0, False, 0  # the last: states that passed by while paused
        self._controllers = 0  # the first version that the controller was heard of having
        self._model: ModelInForce | None = None
        self._training: Retraining | None = None
        self._trainings, self._rejects = Trainings(), Rejects()
        self._continual = Continual(self._spec, c.continual, c.change)
        run = os.environ.get(RUN_VARIABLE) or new_run()
        self._home = home(self._spec.name, self.get_namespace())
        folder, topic = c.log_folder(self._home / run), self.resolve_topic_name("state")
        self._recorder = Recorder(self._spec, folder, topic, c.max_transitions, 10**6 * c.max_log_mb)
        self._kept = KeptModel(self._recorder.folder, run)
        self._error_told, self._message, self._reported_at = "", "", 0.0
        self._model_publisher = self.create_publisher(Model, "model", qos.LATCHED)
        self._status_publisher = self.create_publisher(LearnerStatus, "~/status", qos.LATCHED)
        if not self._adopt_kept():
            self._adopt_first()
        self._continual.recall(moved(self._recorder.ticks.store()))
        self.create_subscription(ControllerStats, "mpc_controller/stats", self._on_stats, qos.STATE_LATEST)
        answers = {"train": self._on_train, "save": self._on_save, "load": self._on_load, "reset": self._on_reset}
        for name, answer in answers.items():
            offer(self, Trigger, name, answer)
        offer(self, SetBool, "set_paused", self._on_set_paused)
        self.create_timer(_TICK_S, self._on_tick, clock=STEADY)
        self._diagnostics = Diagnostics(self, self._spec.name, self._condition, self._rejects)

    @property
    def worker_pid(self) -> int | None:
        """Process that is training, if any."""
        return self._training.pid if self._training else None

    # The record ----------------------------------------------------------------------------------

    def _tell_about_log(self) -> None:
        for note in self._recorder.notes:
            self.get_logger().info(note)
        self._recorder.notes.clear()
        if self._recorder.error and self._recorder.error != self._error_told:
            self.get_logger().error(self._recorder.error)
        self._error_told = self._recorder.error

    def _on_state(self, data: bytes) -> None:
        self._diagnostics.heard("state")
        if self._paused:
            self._passed += 1
        elif not self._recorder.take(data, state_from(data)):
            self._rejects.add("state", self._recorder.ticks.problem)
        elif self._recorder.ticks.newest is not None:
            self._continual.take(self._recorder.ticks.newest)

    # Training ------------------------------------------------------------------------------------

    def _on_train(self, _: Trigger.Request) -> str:
        c, recorded = self._config, moved(self._recorder.ticks.store())
        if not c.base_data and recorded < c.min_transitions:
            few = f"{recorded} transitions in motion are too few, expected {c.min_transitions} (min_transitions)"
            raise MbmfError(f"{few}; go on recording, or give base_data")
        text = self._train(c.min_transitions)
        if self._model and not (c.base_data or c.continuous):
            text += "; what they do not show is forgotten: give base_data to keep it"
        return text

    def _train(self, min_transitions: int) -> str:
        """Start a training; says so.

        Raises:
            MbmfError: one is under way.
            OSError: it cannot be started.
        """
        if self._training is not None:
            raise MbmfError("a training is under way already")
        c, store = self._config, moving(self._recorder.ticks.store())
        refit = self._continual.settings(c.refit) if c.continuous else c.refit
        task = RetrainTask(c.robot, str(c.base_file or ""), min_transitions, c.max_memory_mb, refit)
        self._continual.started()
        try:
            self._training = Retraining(task, store, self._model.data if self._model else None)
        except OSError as error:
            raise OSError(f"cannot start a training: {error}") from error
        return self._tell(f"training on {moved(store)} transitions in motion")

    def _on_tick(self) -> None:
        self._recorder.flush_if_due()
        self._tell_about_log()
        if self._continual.watch() and self._config.continuous:
            self._tell(f"the robot has changed: {self._continual.detector.evidence}; learning it anew")
        if self._training is not None:
            self._look_at_training(self._training)
        elif self._config.continuous and not self._paused and not self._continual.until_training:
            try:
                self._train(2)
            except OSError as error:
                self._trainings.fail(str(error))
                self._tell(str(error))
        if time.monotonic() - self._reported_at >= _REPORT_S:
            self._publish_status()

    def _look_at_training(self, training: Retraining) -> None:
        verdict = training.poll()
        if verdict is None:
            return
        self._training = None
        self._trainings.add(verdict)
        self._continual.ended(verdict.accepted)
        if verdict.accepted:
            self._accept(verdict.model, verdict.reason)
        else:
            self._tell(verdict.reason)

    def _cancel_training(self) -> None:
        if self._training is not None:
            self._training.cancel()
            self._training = None

    # The model -----------------------------------------------------------------------------------

    def _adopt_kept(self) -> bool:
        """Go on with the model of a learner of this run that crashed; whether there is one."""
        try:
            kept = self._kept.recall()
            if kept is not None and kept[0]:
                self._adopt(kept[0], "this run's model from before the restart", kept[1])
            elif kept is not None:  # after a reset there was none, but there had been
                self._version = kept[1]
        except (MbmfError, OSError) as error:
            self.get_logger().error(f"cannot go on with this run's model: {error}")
            return False
        return self._model is not None

    def _adopt_first(self) -> None:
        """Begin with the model asked for, or with none."""
        if self._first is not None:  # later than at the start it is kept: a restart must not fall behind its version
            (self._accept if self._version else self._adopt)(*self._first)
            return
        self._model = None
        if self._version:
            self._keep(b"")  # or a restart would bring back what was reset
        self._continual.begin(None)
        how = "the first training comes by itself" if self._config.continuous else "call ~/train after some recording"
        self._tell(f"no model yet; {how}")

    def _accept(self, data: bytes, reason: str) -> None:
        """Put a model in force, for the rest of this run."""
        self._adopt(data, reason, max(self._version, self._controllers) + 1)
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Let a restart in this run begin with the model ``data``; empty: with the one asked for, or none."""
        try:
            self._kept.keep(data, self._version)
        except OSError as error:
            self.get_logger().error(f"a restart will not know of version {self._version}: {error}")

    def _on_stats(self, message: ControllerStats) -> None:
        """Count on from the controller's version, which may be that of a learner that left nothing behind."""
        if not self._controllers and 0 < message.model_version < _MOST_VERSIONS:  # 0: it had nothing to plan
            self._controllers = message.model_version
            if self._model is not None and self._controllers > self._version:
                self._accept(self._model.data, "the same model again, as the controller has a later version")

    def _adopt(self, data: bytes, reason: str, version: int = 1) -> None:
        """Put a model in force and publish it."""
        self._model = ModelInForce(self._spec, data, version)
        self._version = version
        self._continual.begin(self._model.dynamics)
        message = self._model.message()
        message.header.stamp = self.get_clock().now().to_msg()
        self._model_publisher.publish(message)
        self._tell(f"version {version}: {reason}")

    # Requests ------------------------------------------------------------------------------------

    def _on_save(self, _: Trigger.Request) -> str:
        path = self._config.save_file(self._home)
        if self._model is None:
            raise MbmfError("there is no model to save")
        write_whole(path, self._model.data)
        return self._tell(f"version {self._version} saved to {path}")

    def _on_load(self, _: Trigger.Request) -> str:
        found = read_model(self._config.save_file(self._home), self._spec)
        self._cancel_training()  # it would be compared with the model of before
        self._trainings.failure = ""
        self._accept(*found)
        return self._message

    def _on_reset(self, _: Trigger.Request) -> str:
        self._cancel_training()
        self._recorder.ticks.forget_all()
        self._continual.forget()
        self._trainings.failure = ""
        self._adopt_first()
        return "what was recorded is not learned from any more; " + self._message

    def _on_set_paused(self, request: SetBool.Request) -> str:
        self._paused = request.data
        return self._tell("logging and learning are paused" if request.data else "logging")

    # What others see -----------------------------------------------------------------------------

    def _tell(self, message: str) -> str:
        self._message = message
        self.get_logger().info(message)
        self._publish_status()
        return message

    def _publish_status(self) -> None:
        self._reported_at = time.monotonic()
        message = LearnerStatus(message=self._recorder.error or self._message, model_version=self._version)
        message.header.stamp = self.get_clock().now().to_msg()
        message.continuous = self._config.continuous
        info, progress = self._model and self._model.info, self._training and self._training.progress
        fill_status(message, self._recorder, info, self._trainings, self._continual, progress, self._paused)
        self._status_publisher.publish(message)

    def _condition(self) -> tuple[bytes, str, dict[str, Any]]:
        values: dict[str, Any] = {"model version": self._version, "states while paused": self._passed}
        progress = self._training and self._training.progress
        values |= diagnosis(self._recorder, self._trainings, self._continual, progress)
        problem = self._trainings.failure if self._training is None else ""
        if self._continual.changed and self._config.continuous:
            problem = "the robot has changed; learning it anew"
        if self._recorder.error:
            return ERROR, self._recorder.error, values
        return WARN if problem else OK, problem or self._message, values

    def destroy_node(self) -> None:
        """Stop the worker and close the log."""
        self._cancel_training()
        self._recorder.close()
        if self._recorder.error != self._error_told:
            print(f"error: {self._recorder.error}", file=sys.stderr)
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    one_thread()  # it looks at errors while the robot is controlled beside it
    return run(DynamicsLearner, args)


if __name__ == "__main__":
    sys.exit(main())
