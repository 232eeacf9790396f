"""The experiment behind the stand-in: its conditions, its lock-step loop, its files."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json

import numpy as np
import pytest

from mbmf_ros.control.presets import Preset, make_controller
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments import hardware_stand_in
from mbmf_ros.experiments.hardware_stand_in import Condition, HardwareStandIn, conditions
from mbmf_ros.experiments.stand_in_run import Loop
from mbmf_ros.hardware.config import load_hardware
from mbmf_ros.hardware.stand_in.config import StandInConfig
from mbmf_ros.shared_files import shared_file

HARDWARE = load_hardware(shared_file("config", "hardware", "ant_stand_in.yaml"))
QUICK = Preset(planners={"icem": {"batch_size": 32, "time_steps": 10, "iterations": 2}})
AHEAD = np.array([[0.6, 0.0]])


def test_one_thing_is_varied_at_a_time_about_the_headline(tmp_path):
    some = conditions(HardwareStandIn(tmp_path))
    assert some[:2] == [Condition(5, "datasheet", 0.01, True), Condition(5, "datasheet", 0.01, False)]
    assert len(some) == len(set(some)) == 2 * (1 + 4 + 2 + 2)
    assert len(conditions(HardwareStandIn(tmp_path, full=True))) == 2 * 5 * 3 * 3
    assert conditions(HardwareStandIn(tmp_path, ros=True)) == some[:2]
    assert len({one.name for one in some}) == len(some)


def loop(delay_s: float, compensate: bool, **robot) -> Loop:
    latency = dataclasses.replace(HARDWARE.latency, actuator=delay_s, sensor=0.0, planning=0.02)
    controller = make_controller(HARDWARE.spec, QUICK)
    controller.swap(load_model(default_model_path(HARDWARE.spec), HARDWARE.spec)[0], 1)
    settings = StandInConfig(actuator_delay=delay_s, **robot)
    return Loop(dataclasses.replace(HARDWARE, latency=latency), settings, controller, compensate)


@pytest.mark.parametrize(("delay_s", "compensate"), [(0.0, True), (0.005, True), (0.04, True), (0.02, False)])
def test_an_action_takes_effect_when_the_plan_was_made_for(delay_s, compensate):
    one, spec = loop(delay_s, compensate, noise="clean"), HARDWARE.spec
    torques = []
    advance = one.robot.simulation.advance

    def watch(control, steps):
        torques.append((one.robot.now_s, control.copy()))
        return advance(control, steps)

    one.robot.simulation.advance = watch  # type: ignore[method-assign]
    one.follow("ahead", AHEAD, 0)
    changes = [now for (_, before), (now, after) in itertools.pairwise(torques) if (before != after).any()]
    phases = {round((now % spec.dt_s) * 1e4) % round(spec.dt_s * 1e4) for now in changes}
    expected = 0.0 if compensate else delay_s + 0.02  # of planning
    assert phases == {round((expected % spec.dt_s) * 1e4)}


def test_it_walks_with_noise_delay_and_loss_and_the_same_for_a_seed():
    rows = [loop(0.005, True, noise="datasheet", packet_loss=0.05, seed=3).follow("a", AHEAD, 3) for _ in "ab"]
    timed = ("wall_s", "plan_ms_p50", "plan_ms_p99")
    first, again = ({key: value for key, value in row.items() if key not in timed} for row in rows)
    assert first == again
    assert first["success"]
    assert first["true_success"]
    assert first["cross_track_mean_m"] != first["true_cross_track_mean_m"]


def test_finished_conditions_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware_stand_in, "preset", lambda *_: QUICK)
    monkeypatch.setattr(hardware_stand_in, "_paths", lambda *_: {"ahead": AHEAD})
    config = HardwareStandIn(tmp_path, delays_ms=(5,), noises=("clean",), losses=(0.0,), compensation=(True,))
    hardware_stand_in.main(config)
    (file,) = tmp_path.glob("*.json")
    assert file.name == "lockstep_5ms_clean_0pct_compensated.json"
    content = json.loads(file.read_text())
    assert content["runs"][0]["path"] == "ahead"
    assert content["revision"]
    (row,) = csv.DictReader((tmp_path / "hardware_stand_in.csv").open())
    assert (row["mode"], row["delay_ms"], row["runs"], row["true_success_rate"]) == ("lockstep", "5", "1", "1.0")
    before = file.read_text()
    hardware_stand_in.main(config)
    assert file.read_text() == before


def test_bad_input_is_named(tmp_path):
    with pytest.raises(MbmfError, match="did you mean 'datasheet'"):
        hardware_stand_in.main(HardwareStandIn(tmp_path, noises=("datashet",)))
