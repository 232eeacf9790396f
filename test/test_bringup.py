"""The node graph as data: arguments, parameter files, which programs run with what."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mbmf_ros import arguments
from mbmf_ros.arguments import SimArguments, argument_texts, parse_arguments
from mbmf_ros.bringup import environment, programs, rviz_problem
from mbmf_ros.config import override
from mbmf_ros.control import planners
from mbmf_ros.errors import MbmfError
from mbmf_ros.graphs import ANT_SIM, graph, graph_names
from mbmf_ros.params_file import check_params_file
from mbmf_ros.robots import robot
from mbmf_ros.run_folder import RUN_VARIABLE

NODES = ["sim_bridge", "mpc_controller", "dynamics_learner", "waypoints", "display", "cockpit"]


def by_name(**arguments):
    return {program.name: program for program in programs(ANT_SIM, SimArguments(**arguments))}


def test_the_defaults_start_every_node_and_no_rviz():
    assert list(by_name()) == NODES


def test_headless_starts_no_window():
    assert list(by_name(headless=True, rviz=True)) == NODES[:-1]
    assert list(by_name(cockpit=False)) == NODES[:-1]


def test_only_what_was_chosen_becomes_a_parameter():
    unchosen = by_name()
    assert unchosen["sim_bridge"].parameters == {"use_sim_time": False}  # it publishes /clock
    assert unchosen["mpc_controller"].parameters == {"use_sim_time": True}
    chosen = by_name(
        **{"real_time_factor": 0.0, "sync_mode": False, "publish_clock": False, "seed": 3},
        **{"planner": "mppi", "cockpit_port": 8123, "record": "none"},
    )
    assert chosen["sim_bridge"].parameters == {
        "use_sim_time": False,
        "real_time_factor": 0.0,
        "sync_mode": False,
        "publish_clock": False,
        "seed": 3,
    }
    assert chosen["mpc_controller"].parameters["planner"] == "mppi"
    assert chosen["cockpit"].parameters["port"] == 8123
    assert chosen["dynamics_learner"].parameters["log_dir"] == ""


def test_learning_starts_without_a_model_unless_one_is_given(tmp_path):
    running = by_name(learn=True)
    assert running["mpc_controller"].parameters == {"use_sim_time": True, "model_path": "", "explore": True}
    assert running["dynamics_learner"].parameters == {"use_sim_time": True, "model_path": "", "continuous": True}
    file = tmp_path / "mine.safetensors"
    file.touch()
    given = by_name(learn=True, model_path=str(file))
    assert {given[name].parameters["model_path"] for name in ("mpc_controller", "dynamics_learner")} == {str(file)}
    assert by_name(learn=True, model_path="default")["mpc_controller"].parameters["model_path"] == "default"


def test_files_are_named_absolutely(tmp_path, monkeypatch):
    (tmp_path / "mine.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    running = by_name(model_path="mine.safetensors", record="log")
    assert running["mpc_controller"].parameters["model_path"] == str(tmp_path / "mine.safetensors")
    assert running["dynamics_learner"].parameters["log_dir"] == str(tmp_path / "log")


def test_a_policy_is_a_file_or_its_folder_and_takes_the_demonstrations_place(tmp_path, monkeypatch):
    file = tmp_path / "mine" / "policy.safetensors"
    file.parent.mkdir()
    file.touch()
    monkeypatch.chdir(tmp_path)
    for place in ("mine", "mine/policy.safetensors", str(file)):
        running = by_name(controller="policy", policy_path=place)
        assert running["mpc_controller"].parameters == {
            "use_sim_time": True,
            "controller": "policy",
            "policy_path": str(file),
        }
        assert running["waypoints"].parameters["demo"] is False
    assert by_name(controller="policy", demo=True)["waypoints"].parameters["demo"] is True
    assert by_name(controller="mpc")["waypoints"].parameters["demo"] is True
    assert "policy_path" not in by_name(controller="policy")["mpc_controller"].parameters  # a parameter file's
    with pytest.raises(MbmfError, match=r"policy_path: is for a policy as the controller; add controller:=policy"):
        by_name(policy_path=str(file))
    file.unlink()
    with pytest.raises(MbmfError, match=r"policy_path: there is no file mine/policy\.safetensors"):
        by_name(controller="policy", policy_path="mine")


def test_a_model_can_be_done_without():
    running = by_name(model_path="none")
    assert {running[name].parameters["model_path"] for name in ("mpc_controller", "dynamics_learner")} == {""}


def test_rviz_stays_in_the_namespace():
    rviz = by_name(rviz=True)["rviz2"]
    assert rviz.package == "rviz2"
    assert ("/goal_pose", "goal_pose") in rviz.remappings
    assert Path(rviz.arguments[1]).is_file()


def test_the_rviz_file_shows_what_is_published():
    config = yaml.safe_load(Path(by_name(rviz=True)["rviz2"].arguments[1]).read_text())
    manager = config["Visualization Manager"]
    topics = {display["Topic"]["Value"] for display in manager["Displays"] if "Topic" in display}
    assert {
        *("path", "mpc_controller/optimal_path", "mpc_controller/candidates"),
        *("display/robot", "display/path"),
    } <= topics
    tools = {tool["Class"].split("/")[-1]: tool for tool in manager["Tools"]}
    assert tools["PublishPoint"]["Topic"]["Value"] == "clicked_point"
    assert tools["SetGoal"]["Topic"]["Value"] == "goal_pose"
    assert manager["Global Options"]["Fixed Frame"] == "odom"


@pytest.mark.parametrize(
    ("environ", "cause"),
    [
        ({"PATH": "/nowhere", "DISPLAY": ":0"}, "not installed"),
        ({"PATH": "{bin}"}, "no display"),
        ({"PATH": "{bin}", "DISPLAY": ":0"}, None),
        ({"PATH": "{bin}", "WAYLAND_DISPLAY": "wayland-0"}, None),
    ],
)
def test_why_rviz_cannot_be_shown(tmp_path, environ, cause):
    (tmp_path / "rviz2").touch(mode=0o755)
    problem = rviz_problem({key: value.format(bin=tmp_path) for key, value in environ.items()})
    assert (problem is None) if cause is None else (cause in str(problem))


def test_what_the_user_set_stays():
    assert environment({})["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in environment({"OMP_NUM_THREADS": "4"})
    assert environment({})[RUN_VARIABLE]
    assert RUN_VARIABLE not in environment({RUN_VARIABLE: "monday"})


# Arguments ------------------------------------------------------------------------------------------------------------


def test_the_texts_of_the_defaults_are_the_defaults():
    assert parse_arguments({name: default for name, default, _ in argument_texts()}) == SimArguments()


def test_the_planners_offered_are_those_that_there_are():
    # The arguments do not import the planners: PyTorch takes a second.
    assert arguments.PLANNERS == planners.PLANNERS


def test_every_argument_is_described():
    assert all(len(text) > 10 for _, _, text in argument_texts())


def test_texts_become_what_the_arguments_are():
    parsed = parse_arguments({"real_time_factor": "2", "sync_mode": "False", "rviz": "1", "seed": "7", "planner": ""})
    assert parsed == SimArguments(real_time_factor=2.0, sync_mode=False, rviz=True, seed=7)


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("rvis", "true", "unknown argument 'rvis' (did you mean 'rviz'?)"),
        ("planner", "icm", "unknown planner 'icm' (did you mean 'icem'?)"),
        ("controller", "polcy", "unknown controller 'polcy' (did you mean 'policy'?)"),
        ("log_level", "inof", "did you mean 'info'"),
        ("rviz", "yes please", "rviz: expected true or false, got 'yes please'"),
        ("real_time_factor", "fast", "real_time_factor: expected a number, got 'fast'"),
        ("real_time_factor", "-1", "real_time_factor: expected a number of at least 0, got -1"),
        ("real_time_factor", "nan", "expected a number of at least 0"),
        ("seed", "1.5", "seed: expected a whole number, got '1.5'"),
        ("namespace", "my robot", "namespace: expected a ROS name"),
    ],
)
def test_bad_arguments_are_named(name, text, cause):
    with pytest.raises(MbmfError) as caught:
        parse_arguments({name: text})
    assert cause in str(caught.value)


def test_files_that_do_not_exist_are_named():
    with pytest.raises(MbmfError, match=r"model_path: there is no file nowhere\.safetensors"):
        by_name(model_path="nowhere.safetensors")
    with pytest.raises(MbmfError, match=r"cannot read nowhere\.yaml"):
        by_name(params_file="nowhere.yaml")


SIMULATED = [name for name in graph_names() if graph(name).bridge == "sim" and graph(name).robot]


@pytest.mark.parametrize("name", SIMULATED)
def test_every_graph_comes_with_its_files(name):
    chosen = graph(name)
    assert chosen.robot == robot(chosen.robot).name
    running = {program.name: program for program in programs(chosen, SimArguments(rviz=True))}
    assert list(running) == [*NODES, "rviz2"]
    (file,) = running["sim_bridge"].params_files
    assert yaml.safe_load(file.read_text())["/**"]["ros__parameters"] == {"robot": chosen.robot}
    launch_file = file.parent.parent / "launch" / f"{name}.launch.py"
    assert f'description(graph("{name}"), __file__)' in launch_file.read_text()


def test_an_unknown_graph_is_named():
    with pytest.raises(MbmfError, match="did you mean 'ant_sim'"):
        graph("ant_smi")


# Parameter files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/**:\n  ros__parameters:\n    robot: ant\n    names: [a, b]\n    sizes: [1e5, 2.0]\n    none: []\n",
        "/**/mpc_controller:\n  ros__parameters:\n    icem:\n      batch_size: 32\n",
        "robot1:\n  mpc_controller:\n    ros__parameters:\n      planner: mppi\n",
    ],
)
def test_good_parameter_files_pass(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    check_params_file(path, NODES)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("/**/mpc_controler:\n  ros__parameters:\n    planner: icem\n", "did you mean 'mpc_controller'"),
        (
            "mpc_controller:\n  planner: icem\n",
            "'planner' in section 'mpc_controller' must stand below 'ros__parameters:'",
        ),
        ("mpc_controller:\n", "section 'mpc_controller': expected a mapping"),
        ("mpc_controller:\n  ros__parameters: 3\n", "expected parameters, got 3"),
        ("- 1\n", "expected a mapping of keys to values at the top, got list"),
        ("a: [\n", "is not valid YAML"),
        ("/**:\n  ros__parameters:\n    min_speed: [1, a]\n", "'min_speed': expected a list of one kind"),
        ("/**:\n  ros__parameters:\n    icem:\n      a: [[1], [2]]\n", "'a': expected a list of one kind"),
        ("/**:\n  ros__parameters:\n    planner:\n", "'planner' has no value"),
    ],
)
def test_bad_parameter_files_are_named(tmp_path, text, cause):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(MbmfError) as caught:
        check_params_file(path, NODES)
    assert cause in str(caught.value)
    assert "params.yaml" in str(caught.value)


# The nodes that it describes ------------------------------------------------------------------------------------------


@pytest.mark.ros
def test_the_nodes_have_the_parameters_that_the_graph_sets():
    pytest.importorskip("rclpy")
    import importlib

    for node in {node.name: node for name in graph_names() for node in graph(name).nodes}.values():
        module = importlib.import_module(f"mbmf_ros.nodes.{node.name}")
        assert callable(module.main)
        named = {getattr(value, "__module__", "") for value in vars(module).values() if callable(value)}
        ours = [sys.modules[name] for name in sorted(named) if name and name.startswith("mbmf_ros.nodes.")]
        classes = [value for one in ours for value in vars(one).values() if isinstance(value, type)]
        configs = [value for value in classes if value.__name__.endswith("Config") and dataclasses.is_dataclass(value)]
        fields: dict[str, Any] = {field.name: field for config in configs for field in dataclasses.fields(config)}
        for parameter in node.takes.values():
            section, _, name = parameter.rpartition(".")
            inside = dataclasses.fields(fields[section].default_factory()) if section else fields.values()
            assert name in {field.name for field in inside}, node.name
        assert "robot" in fields, node.name  # config/ant.yaml gives it to all


@pytest.mark.ros
@pytest.mark.parametrize("name", SIMULATED)
def test_the_controller_takes_what_the_robots_file_says_and_the_preset_is_the_same(name):
    pytest.importorskip("rclpy")
    from mbmf_ros.control import presets
    from mbmf_ros.nodes import controller_config

    spec = robot(graph(name).robot)
    content = yaml.safe_load(programs(graph(name), SimArguments())[0].params_files[0].read_text())
    given = content.get("/**/mpc_controller", {}).get("ros__parameters", {})
    node = controller_config.make_controller(spec, override(controller_config.MpcControllerConfig(), given))
    alone = presets.make_controller(spec, presets.preset("default", spec))
    assert node.planner.config == alone.planner.config
    assert dataclasses.replace(node.config, plan_rows=4) == alone.config
