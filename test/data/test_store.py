"""The transition store: shapes are checked, cutting is exact, files come back whole or are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from mbmf_ros.data.store import Episode, TransitionStore
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import robot

SPEC = robot("ant")
NM = SPEC.measurement.size


def episode(steps: int, first: float = 0.0, source: str = "random") -> Episode:
    """Every number tells its row."""
    rows = first + np.arange(steps + 1)
    return Episode(np.repeat(rows[:, None], NM, axis=1), np.repeat(rows[:-1, None] / 1e6, SPEC.nu, axis=1), source)


def test_a_file_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        a_store([3]).save(tmp_path / "file" / "data.safetensors")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):  # here safetensors has an exception of its own
        a_store([3]).save(tmp_path / "folder")


def a_store(lengths: list[int]) -> TransitionStore:
    store = TransitionStore(SPEC)
    for index, steps in enumerate(lengths):
        store.add(episode(steps, 1000.0 * index, ("random", "on_policy", "log")[index % 3]))
    return store


def check_equal(store: TransitionStore, other: TransitionStore) -> None:
    assert len(store.episodes) == len(other.episodes)
    for one, two in zip(store.episodes, other.episodes, strict=True):
        np.testing.assert_array_equal(one.measurements, two.measurements)
        np.testing.assert_array_equal(one.actions, two.actions)
        assert (one.source, one.piece, one.skipped) == (two.source, two.piece, two.skipped)
        assert one.terminated == two.terminated
        assert (one.rewards is None) == (two.rewards is None)
        np.testing.assert_array_equal(one.rewards, two.rewards)


lengths = st.lists(st.integers(1, 20), min_size=1, max_size=10)


@settings(max_examples=40, deadline=None)
@given(lengths)
def test_a_file_gives_back_what_was_saved(tmp_path_factory: pytest.TempPathFactory, steps: list[int]):
    path = tmp_path_factory.mktemp("store") / "data" / "a.safetensors"
    store = a_store(steps)
    store.save(path)
    check_equal(TransitionStore.load(path, SPEC), store)


@given(lengths, st.integers(0, 250))
def test_head_keeps_exactly_the_first_transitions(steps: list[int], count: int):
    store = a_store(steps)
    head = store.head(count)
    assert head.transitions == min(count, store.transitions) == sum(len(e.actions) for e in head.episodes)
    for kept, whole in zip(head.episodes, store.episodes, strict=False):
        np.testing.assert_array_equal(kept.measurements, whole.measurements[: len(kept) + 1])
        np.testing.assert_array_equal(kept.actions, whole.actions[: len(kept)])


def test_extend_appends_all_episodes():
    store = a_store([3, 4])
    store.extend(a_store([5]))
    assert [len(e) for e in store.episodes] == [3, 4, 5]
    assert store.transitions == 12


@pytest.mark.parametrize(
    ("measurements", "actions"),
    [
        ((4, NM), (4, SPEC.nu)),  # no measurement after the last action
        ((5, NM - 1), (4, SPEC.nu)),
        ((5, NM), (4, SPEC.nu + 1)),
        ((5, NM), (4,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(measurements: tuple[int, ...], actions: tuple[int, ...]):
    store = TransitionStore(SPEC)
    with pytest.raises(MbmfError, match=rf"expected measurements \(\d, {NM}\)"):
        store.add(Episode(np.zeros(measurements), np.zeros(actions)))
    assert store.transitions == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["measurements", "actions"])
def test_numbers_that_are_not_finite_are_refused(where: str, value: float):
    bad = episode(3)
    getattr(bad, where)[1, 2] = value
    with pytest.raises(MbmfError, match="not all numbers are finite"):
        TransitionStore(SPEC).add(bad)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(MbmfError, match=r"there is no data file .*mbmf collect"):
        TransitionStore.load(tmp_path / "missing.safetensors", SPEC)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int):
    path = tmp_path / "a.safetensors"
    a_store([5, 5]).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MbmfError, match="not a whole transitions file"):
        TransitionStore.load(path, SPEC)


def test_foreign_files_are_refused(tmp_path: Path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weights": np.zeros(3)}, path)
    with pytest.raises(MbmfError, match="no transitions file"):
        TransitionStore.load(path, SPEC)
    path.write_text("x,y\n1,2\n" * 100)
    with pytest.raises(MbmfError, match="not a whole transitions file"):
        TransitionStore.load(path, SPEC)
    with pytest.raises(MbmfError, match="not a whole transitions file"):
        TransitionStore.load(tmp_path, SPEC)


def test_data_of_another_robot_are_refused(tmp_path: Path):
    path = tmp_path / "other.safetensors"
    save_file({"lengths": np.zeros(0)}, path, metadata={"format": "mbmf_ros/transitions", "robot": "swimmer"})
    with pytest.raises(MbmfError, match=r"robot 'swimmer', expected 'ant'"):
        TransitionStore.load(path, SPEC)


def test_an_empty_store_cannot_be_saved_by_mistake(tmp_path: Path):
    with pytest.raises(MbmfError, match="nothing to save"):
        TransitionStore(SPEC).save(tmp_path / "a.safetensors")


def test_pieces_of_recordings_keep_their_names(tmp_path: Path):
    whole = replace(episode(7, 0.0, "log"), piece="3/2", skipped=60)
    store = TransitionStore(SPEC, [episode(4), whole])
    store.save(tmp_path / "data.safetensors")
    check_equal(TransitionStore.load(tmp_path / "data.safetensors", SPEC), store)
    assert [(e.piece, e.skipped, len(e)) for e in store.head(9).episodes] == [("", 0, 4), ("3/2", 60, 5)]


def test_rewards_and_ends_are_kept_and_cut(tmp_path: Path):
    store = TransitionStore(SPEC)
    for steps, ended in ((4, True), (7, True), (2, False)):
        store.add(replace(episode(steps), rewards=np.arange(steps) / 3.0, terminated=ended))
    store.save(tmp_path / "data.safetensors")
    again = TransitionStore.load(tmp_path / "data.safetensors", SPEC)
    check_equal(again, store)
    first, cut = again.head(9).episodes
    assert (first.terminated, cut.terminated) == (True, False)
    np.testing.assert_array_equal(cut.rewards, np.arange(5) / 3.0)


def test_rewards_are_written_if_all_are_known(tmp_path: Path):
    TransitionStore(SPEC, [replace(episode(4), rewards=np.zeros(4)), episode(3)]).save(tmp_path / "data.safetensors")
    assert [e.rewards for e in TransitionStore.load(tmp_path / "data.safetensors", SPEC).episodes] == [None, None]


@pytest.mark.parametrize("rewards", [np.zeros(5), np.zeros((4, 1)), np.array([0.0, np.nan, 0.0, 0.0])])
def test_rewards_that_do_not_fit_are_refused(rewards: np.ndarray):
    with pytest.raises(MbmfError, match=r"expected rewards|not all numbers are finite"):
        TransitionStore(SPEC).add(replace(episode(4), rewards=rewards))


@pytest.mark.parametrize(
    ("rewards", "ends"),
    [
        (np.zeros(6), "[true, true]"),
        (np.zeros(7), None),
        (np.zeros(7), "[true]"),
        (np.zeros(7), "{"),
        (np.zeros(7), "3"),
    ],
)
def test_damaged_rewards_are_told(tmp_path: Path, rewards: np.ndarray, ends: str | None):
    whole = TransitionStore(SPEC, [episode(4), episode(3)])
    whole.save(file := tmp_path / "data.safetensors")
    with safe_open(file, framework="numpy") as kept:
        arrays, about = {name: kept.get_tensor(name) for name in kept.keys()}, kept.metadata()  # noqa: SIM118
    save_file({**arrays, "rewards": rewards}, file, about if ends is None else {**about, "terminated": ends})
    with pytest.raises(MbmfError, match=r"data.safetensors is damaged"):
        TransitionStore.load(file, SPEC)


@pytest.mark.parametrize("lost", ["robot", "sources"])
def test_a_file_that_does_not_say_what_it_holds_is_told(tmp_path: Path, lost: str):
    TransitionStore(SPEC, [episode(4)]).save(file := tmp_path / "data.safetensors")
    with safe_open(file, framework="numpy") as kept:
        arrays, about = {name: kept.get_tensor(name) for name in kept.keys()}, kept.metadata()  # noqa: SIM118
    save_file(arrays, file, {name: value for name, value in about.items() if name != lost})
    with pytest.raises(MbmfError, match=r"data.safetensors (is damaged|holds data of robot None)"):
        TransitionStore.load(file, SPEC)
