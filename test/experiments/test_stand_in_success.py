"""The experiment behind the stand-in: its conditions, its lock-step loop, its files."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbmf_ros.control.presets import Preset, make_controller
from mbmf_ros.dynamics.io import default_model_path, load_model
from mbmf_ros.errors import MbmfError
from mbmf_ros.experiments import hardware_stand_in
from mbmf_ros.experiments.hardware_stand_in import Condition, HardwareStandIn, conditions
from mbmf_ros.experiments.stand_in_run import Loop
from mbmf_ros.experiments.stand_in_table import summarised
from mbmf_ros.hardware.config import load_hardware
from mbmf_ros.hardware.stand_in.config import StandInConfig
from mbmf_ros.shared_files import shared_file

HARDWARE = load_hardware(shared_file("config", "hardware", "ant_stand_in.yaml"))
QUICK = Preset(planners={"icem": {"batch_size": 32, "time_steps": 10, "iterations": 2}})
AHEAD = np.array([[0.6, 0.0]])


def test_one_thing_is_varied_at_a_time_about_the_headline(tmp_path):
    some = conditions(HardwareStandIn(tmp_path))
    assert some[:2] == [Condition(5, "datasheet", 0.01, 10), Condition(5, "datasheet", 0.01, None)]
    assert len(some) == len(set(some)) == 2 * (1 + 4 + 2 + 2) + 1
    assert [one for one in some if one.assumed_ms not in (10, None)] == [Condition(40, "datasheet", 0.01, 40)]
    assert len(conditions(HardwareStandIn(tmp_path, full=True))) == 2 * 5 * 3 * 3 + 1
    assert len({one.name for one in some}) == len(some)


def test_over_ros_the_delay_is_varied_or_is_the_one_that_was_asked_for(tmp_path):
    some = conditions(HardwareStandIn(tmp_path, ros=True))
    assert {(one.noise, one.loss) for one in some} == {("datasheet", 0.01)}
    assert [(one.delay_ms, one.compensated) for one in some] == [
        (d, c) for d in (5, 0, 10, 20, 40) for c in (True, False)
    ]
    alone = HardwareStandIn(tmp_path, ros=True, delays_ms=(20,), compensation=(False,))
    assert conditions(alone) == [Condition(20, "datasheet", 0.01, None)]


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


@pytest.fixture
def quick(monkeypatch, tmp_path) -> HardwareStandIn:
    """One condition, one seed, one short path."""
    monkeypatch.setattr(hardware_stand_in, "preset", lambda *_: QUICK)
    monkeypatch.setattr(hardware_stand_in, "_paths", lambda *_: {"ahead": AHEAD})
    alone = {"delays_ms": (5,), "noises": ("clean",), "losses": (0.0,), "compensation": (True,)}
    return HardwareStandIn(tmp_path / "out", seeds=1, **alone)


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


def test_delays_differ_in_effect_unless_the_bridge_knows_them(quick):
    config = dataclasses.replace(quick, delays_ms=(10, 20), known_ms=(20,))
    hardware_stand_in.main(config)
    errors = {name: row["runs"][0]["cross_track_mean_m"] for name, row in results(config.out).items()}
    known, late = errors["lockstep_20ms_clean_0pct_assumed_20ms"], errors["lockstep_20ms_clean_0pct_assumed_10ms"]
    assert errors["lockstep_10ms_clean_0pct_assumed_10ms"] == known
    assert late != known


def test_finished_conditions_are_kept(quick):
    hardware_stand_in.main(quick)
    (file,) = quick.out.glob("*.json")
    assert file.name == "lockstep_5ms_clean_0pct_assumed_10ms.json"
    content = json.loads(file.read_text())
    assert content["runs"][0]["path"] == "ahead"
    assert content["revision"]
    assert "hardware_stand_in" in content["command"]
    (row,) = csv.DictReader((quick.out / "hardware_stand_in.csv").open())
    told = [row[key] for key in ("mode", "delay_ms", "assumed_ms", "compensated", "runs", "true_success_rate")]
    assert told == ["lockstep", "5", "10", "True", "1", "1"]
    assert 0 <= float(row["drift_mean_m"]) < 0.01, "a clean odometry does not drift"
    before = file.read_text()
    hardware_stand_in.main(quick)
    assert file.read_text() == before
    elsewhere = dataclasses.replace(quick, out=quick.out.with_name("fresh"))
    hardware_stand_in.main(elsewhere)
    assert results(elsewhere.out).keys() == results(quick.out).keys()


def test_what_was_interrupted_goes_on(quick, monkeypatch):
    config, walked = dataclasses.replace(quick, delays_ms=(5, 10)), []

    def interrupted(_, __, condition):
        walked.append(condition.delay_ms)
        if walked == [5, 10]:
            raise KeyboardInterrupt
        return [loop(0.0, True, noise="clean").follow("ahead", AHEAD, 0)]

    monkeypatch.setattr(hardware_stand_in, "_in_lock_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hardware_stand_in.main(config)
    hardware_stand_in.main(config)
    assert walked == [5, 10, 10]
    assert len(list(csv.DictReader((config.out / "hardware_stand_in.csv").open()))) == 2


def test_rows_of_one_table_are_of_one_revision_and_of_the_same_options(quick, monkeypatch):
    hardware_stand_in.main(quick)
    with pytest.raises(MbmfError, match="seeds 1, and now it is 3: name another folder"):
        hardware_stand_in.main(dataclasses.replace(quick, seeds=3))
    monkeypatch.setattr(hardware_stand_in, "revision", lambda: "another")
    with pytest.raises(MbmfError, match=r"revision .*, and now it is 'another'"):
        hardware_stand_in.main(dataclasses.replace(quick, delays_ms=(20,)))


def test_nodes_are_not_started_from_a_revision_that_came_meanwhile(quick, monkeypatch):
    revisions = iter(["one", "two"])
    monkeypatch.setattr(hardware_stand_in, "revision", lambda: next(revisions))
    with pytest.raises(MbmfError, match="would start from revision two"):
        hardware_stand_in.main(dataclasses.replace(quick, ros=True))


def test_means_over_runs_and_their_spread_over_seeds():
    names = ("success", "true_success", "drift_m", "speed_mean_mps", "cross_track_mean_m")
    rest = dict.fromkeys(
        ("cross_track_p95_m", "plan_ms_p50", "plan_ms_p99", "deadlines", "deadlines_missed", "fell"), 0
    )
    measured = [
        (0, 1, 1, 0.1, 1.0, 0.04),
        (0, 1, 0, 0.3, 0.8, 0.06),
        (1, 1, 0, 0.4, 0.6, 0.05),
        (1, 0, 0, 0.6, 0.6, 0.05),
    ]
    runs = [rest | {"seed": seed} | dict(zip(names, values, strict=True)) for seed, *values in measured]
    both, one = summarised(runs), summarised(runs[:2])
    assert (both["success_rate"], both["true_success_rate"], both["drift_mean_m"]) == (0.75, 0.25, 0.35)
    half = 0.5 / np.sqrt(2)  # standard deviation of two numbers that are 0.5 apart
    assert both["success_rate_seed_std"] == both["true_success_rate_seed_std"] == pytest.approx(half, abs=1e-5)
    assert both["drift_mean_m_seed_std"] == pytest.approx(0.6 * half, abs=1e-5)
    assert both["cross_track_mean_m_seed_std"] == 0
    assert one["success_rate_seed_std"] is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"noises": ("datashet",)}, "did you mean 'datasheet'"),
        ({"delays_ms": ()}, "--delays-ms: expected at least one"),
        ({"delays_ms": (-1,)}, "actuator_delay: expected a number from 0"),
        ({"seeds": 0}, "--seeds: expected at least 1, got 0"),
        ({"assumed_ms": 60}, "latency: expected less than a control period"),
    ],
)
def test_bad_input_is_named_before_anything_is_run(tmp_path, change, problem):
    with pytest.raises(MbmfError, match=problem):
        hardware_stand_in.main(HardwareStandIn(tmp_path / "out", **change))
    assert not (tmp_path / "out").exists()
