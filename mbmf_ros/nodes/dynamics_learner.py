"""Logs what the robot experiences, trains its dynamics model from that on request, and publishes the model."""

from __future__ import annotations

import os
import sys
import time
from array import array
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message
from std_srvs.srv import SetBool, Trigger

from mbmf_ros.data.recorder import Recorder
from mbmf_ros.dynamics.io import ModelInfo, default_model_path, load_model, model_from_bytes
from mbmf_ros.dynamics.retrain import Retraining, RetrainTask, moving
from mbmf_ros.errors import MbmfError
from mbmf_ros.msg import LearnerStatus, Model, RobotState
from mbmf_ros.nodes import qos
from mbmf_ros.nodes.learner_config import LearnerConfig
from mbmf_ros.nodes.rejects import Rejects
from mbmf_ros.nodes.run_folder import RUN_VARIABLE, KeptModel, home, new_run, write_whole
from mbmf_ros.nodes.runtime import ERROR, OK, STEADY, WARN, Diagnostics, declare, run
from mbmf_ros.robots import robot

_TICK_S = 0.25  # how often the log is flushed when due and the training is looked at
_REPORT_S = 1.0  # how often the status is published when nothing happens


class DynamicsLearner(Node):
    """The node. Training happens in a worker process, so states are logged all the while.

    Raises:
        MbmfError: unusable parameters.
    """

    def __init__(self, **kwargs: Any):
        super().__init__("dynamics_learner", **kwargs)
        self._config = declare(self, LearnerConfig())
        self._spec = robot(self._config.robot)
        if self._config.base_data and not Path(self._config.base_data).is_file():
            raise MbmfError(f"base_data: there is no file {self._config.base_data}; make one with `mbmf collect`")
        initial = self._initial_model()
        self._paused, self._passed = False, 0  # states that passed by while paused
        self._version = 0
        self._model: tuple[bytes, ModelInfo] | None = None  # in force
        self._training: Retraining | None = None
        self._training_error = ""
        run = os.environ.get(RUN_VARIABLE) or new_run()
        self._home = home(self._spec.name, self.get_namespace())
        self._recorder = self._open_recorder(run)
        self._kept = KeptModel(self._recorder.folder, run)
        self._error_told = ""
        self._message = ""
        self._reported_at = 0.0
        self._rejects = Rejects()
        self._model_publisher = self.create_publisher(Model, "model", qos.LATCHED)
        self._status_publisher = self.create_publisher(LearnerStatus, "~/status", qos.LATCHED)
        if self._adopt_kept():
            pass
        elif initial is None:
            self._tell("no model yet; call ~/train after some recording")
        else:
            self._adopt(*initial)
        take: Any = self._on_state  # raw: it is called with the bytes of a RobotState
        self.create_subscription(RobotState, "state", take, qos.STATE_ALL, raw=True)
        self.create_service(Trigger, "~/train", self._on_train)
        self.create_service(Trigger, "~/save", self._on_save)
        self.create_service(Trigger, "~/load", self._on_load)
        self.create_service(SetBool, "~/set_paused", self._on_set_paused)
        self.create_timer(_TICK_S, self._on_tick, clock=STEADY)
        self._diagnostics = Diagnostics(self, self._spec.name, self._condition, self._rejects)

    @property
    def worker_pid(self) -> int | None:
        """Process that is training, if any."""
        return self._training.pid if self._training else None

    # The record ----------------------------------------------------------------------------------

    def _open_recorder(self, run: str) -> Recorder:
        """The record, with a log in ``log_dir`` unless that is empty."""
        folder = None
        if self._config.log_dir == "default":
            folder = self._home / run
        elif self._config.log_dir:
            folder = Path(self._config.log_dir).expanduser()
        c, topic = self._config, self.resolve_topic_name("state")
        return Recorder(self._spec, folder, topic, c.max_transitions, 1_000_000 * c.max_log_mb)

    def _tell_about_log(self) -> None:
        for note in self._recorder.notes:
            self.get_logger().info(note)
        self._recorder.notes.clear()
        if self._recorder.error != self._error_told:
            self._error_told = self._recorder.error
            if self._error_told:
                self.get_logger().error(self._error_told)

    def _on_state(self, data: bytes) -> None:
        if self._paused:
            self._passed += 1
        elif not self._recorder.take(data, deserialize_message(data, RobotState)):
            self._rejects.add("state", self._recorder.ticks.problem)

    # Training ------------------------------------------------------------------------------------

    def _on_train(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        store = moving(self._recorder.ticks.store())
        if self._training is not None:
            response.message = "a training is under way already"
            return response
        if not self._config.base_data and store.transitions < self._config.min_transitions:
            few = f"{store.transitions} transitions in motion are too few, expected {self._config.min_transitions}"
            response.message = f"{few} (min_transitions); go on recording, or give base_data"
            return response
        c = self._config
        task = RetrainTask(c.robot, c.base_data, c.min_transitions, c.seed, c.dynamics, c.training)
        try:
            self._training = Retraining(task, store, self._model[0] if self._model else None)
        except OSError as error:
            response.message = f"cannot start a training: {error}"
            return response
        self._training_error = ""
        response.success, response.message = True, f"training on {store.transitions} transitions in motion"
        if self._model and not c.base_data:
            response.message += "; what they do not show is forgotten: give base_data to keep it"
        self._tell(response.message)
        return response

    def _on_tick(self) -> None:
        self._recorder.flush_if_due()
        self._tell_about_log()
        if self._training is not None and (verdict := self._training.poll()) is not None:
            self._training = None
            if verdict.accepted:
                self._accept(verdict.model, verdict.reason)
            else:
                self._training_error = verdict.reason
                self._tell(verdict.reason)
        if time.monotonic() - self._reported_at >= _REPORT_S:
            self._publish_status()

    # The model -----------------------------------------------------------------------------------

    def _initial_model(self) -> tuple[bytes, str] | None:
        """The file's bytes of the model to begin with, and where they are from.

        Raises:
            MbmfError: the model is unusable.
        """
        name = self._config.model_path
        if name == "default":
            try:
                path = default_model_path(self._spec, self._config.dynamics.profile)
            except MbmfError as error:
                self.get_logger().warning(str(error))
                return None
            return self._read(path)
        return self._read(Path(name).expanduser()) if name else None

    def _read(self, path: Path) -> tuple[bytes, str]:
        """A model file's bytes, found to be usable, and what to say about them."""
        load_model(path, self._spec)
        return path.read_bytes(), f"model {path}"

    def _adopt_kept(self) -> bool:
        """Go on with the model of a learner of this run that crashed; whether there is one."""
        try:
            kept = self._kept.recall()
            if kept is not None:
                self._adopt(kept[0], "this run's model from before the restart", kept[1])
        except (MbmfError, OSError) as error:
            self.get_logger().error(f"cannot go on with this run's model: {error}")
            return False
        return kept is not None

    def _accept(self, data: bytes, reason: str) -> None:
        """Put a model in force, for the rest of this run."""
        self._adopt(data, reason, self._version + 1)
        try:
            self._kept.keep(data, self._version)
        except OSError as error:
            self.get_logger().error(f"a restart will lose version {self._version}: {error}")

    def _adopt(self, data: bytes, reason: str, version: int = 1) -> None:
        """Put a model in force and publish it."""
        _, info = model_from_bytes(data, self._spec)
        self._model, self._version = (data, info), version
        message = Model(
            version=self._version,
            robot=info.robot,
            profile=info.profile,
            layout_hash=info.layout_hash,
            transitions=info.transitions,
            one_step_error=info.one_step_error,
            open_loop_error=info.open_loop_error,
            open_loop_steps=info.open_loop_steps,
            weights=array("B", data),
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._model_publisher.publish(message)
        self._tell(f"version {self._version}: {reason}")

    def _on_save(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        path = self._save_path()
        if self._model is None:
            response.message = "there is no model to save"
            return response
        try:
            write_whole(path, self._model[0])
        except OSError as error:
            response.message = f"cannot write {path}: {error.strerror}"
            return response
        response.success, response.message = True, f"version {self._version} saved to {path}"
        self._tell(response.message)
        return response

    def _on_load(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self._accept(*self._read(self._save_path()))
        except MbmfError as error:
            response.message = str(error)
            return response
        response.success, response.message = True, self._message
        return response

    def _on_set_paused(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._paused = request.data
        response.success, response.message = True, "logging is paused" if request.data else "logging"
        self._tell(response.message)
        return response

    def _save_path(self) -> Path:
        path = self._config.save_path
        return self._home / "model.safetensors" if path == "default" else Path(path).expanduser()

    # What others see -----------------------------------------------------------------------------

    def _tell(self, message: str) -> None:
        self._message = message
        self.get_logger().info(message)
        self._publish_status()

    def _publish_status(self) -> None:
        self._reported_at = time.monotonic()
        message = LearnerStatus(message=self._recorder.error or self._message, model_version=self._version)
        message.header.stamp = self.get_clock().now().to_msg()
        message.logged, message.rejected = self._recorder.ticks.transitions, self._recorder.ticks.rejected
        message.one_step_error = message.open_loop_error = float("nan")
        if self._model is not None:
            info = self._model[1]
            message.model_transitions = info.transitions
            message.one_step_error, message.open_loop_error = info.one_step_error, info.open_loop_error
        if self._training is not None:
            message.state, message.progress = LearnerStatus.STATE_TRAINING, self._training.progress
        elif self._recorder.error:
            message.state = LearnerStatus.STATE_ERROR
        elif self._paused:
            message.state = LearnerStatus.STATE_PAUSED
        self._status_publisher.publish(message)

    def _condition(self) -> tuple[bytes, str, dict[str, Any]]:
        values = {
            "transitions": self._recorder.ticks.transitions,
            "states logged": self._recorder.logged,
            "states while paused": self._passed,
            "states waiting for the disk": self._recorder.waiting,
            "states given up": self._recorder.given_up,
            "log": self._recorder.error or self._recorder.folder or "off",
            "model version": self._version,
            "training": f"{self._training.progress:.0%}" if self._training else self._training_error or "idle",
        }
        if self._recorder.error:
            return ERROR, self._recorder.error, values
        if self._training_error:
            return WARN, self._training_error, values
        return OK, self._message, values

    def destroy_node(self) -> None:
        """Stop the worker and close the log."""
        if self._training is not None:
            self._training.cancel()
            self._training = None
        self._recorder.close()
        if self._recorder.error != self._error_told:
            print(f"error: {self._recorder.error}", file=sys.stderr)
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(DynamicsLearner, args)


if __name__ == "__main__":
    sys.exit(main())
