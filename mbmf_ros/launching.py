"""What the launch files have in common: a node graph of ``mbmf_ros.graphs``, which ``mbmf up`` uses too."""
# ROS 2's launch is not on PyPI:
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import sys
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction, Shutdown
from launch.events import matches_action
from launch.events.process import ProcessExited, ShutdownProcess
from launch_ros.actions import Node

from mbmf_ros.arguments import SimArguments, argument_texts, parse_arguments
from mbmf_ros.bringup import Program, environment, programs, rviz_problem
from mbmf_ros.deployment import enclave, network_problem, sender_environment, shared_memory_problem
from mbmf_ros.graphs import BACK_OFF_S, BAD_INPUT_EXIT, Graph


def description(graph: Graph, file: str) -> LaunchDescription:
    """Brings ``graph`` up, with its arguments; ``file`` is the launch file that asks for it."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in argument_texts()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start, args=[graph, Path(file).name])])


def _start(context: LaunchContext, graph: Graph, file: str) -> list[Action]:
    texts = {name: context.launch_configurations[name] for name, _, _ in argument_texts()}
    if any(Path(word).name == file for word in sys.argv):  # else a parent's arguments are there as well
        texts |= dict(word.split(":=", 1) for word in context.argv if ":=" in word)
    arguments = parse_arguments(texts)
    problems = network_problem(arguments.discovery), shared_memory_problem(arguments.discovery)
    actions: list[Action] = [LogInfo(msg=text) for text in problems if text]
    for program in programs(graph, arguments):
        problem = rviz_problem() if program.name == "rviz2" else None
        if problem:
            actions.append(LogInfo(msg=problem))
        else:
            actions.append(_node(program, arguments))
    return actions


def _node(program: Program, chosen: SimArguments) -> Node:
    deaths = 0

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        nonlocal deaths
        deaths += 1
        given_up = deaths > program.role.restarts or event.returncode == BAD_INPUT_EXIT
        if context.is_shutdown or not given_up:
            return []
        if program.role.required:
            reason = f"nothing works without {program.name}, which ended with exit code {event.returncode}"
            return [LogInfo(msg=f"{reason}: stopping everything"), Shutdown(reason=reason)]
        no_more = EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action)))  # not respawned
        return [LogInfo(msg=f"{program.name} ended with exit code {event.returncode}; going on without it"), no_more]

    keys = enclave(chosen.namespace, program.name)
    return Node(
        package=program.package,
        executable=program.executable,
        name=program.name,
        namespace=chosen.namespace,
        parameters=[*map(str, program.params_files), dict(program.parameters)],
        remappings=list(program.remappings),
        arguments=[*program.arguments, "--ros-args", "--log-level", chosen.log_level, "--enclave", keys],
        additional_env=environment(discovery=chosen.discovery) | sender_environment(program.name, chosen.discovery),
        output="screen",
        emulate_tty=True,
        respawn=program.role.restarts > 0,
        respawn_delay=BACK_OFF_S,
        respawn_max_retries=program.role.restarts,
        on_exit=on_exit,
        sigterm_timeout="20",  # Python takes its time to end on a busy computer
    )
