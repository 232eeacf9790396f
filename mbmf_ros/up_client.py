"""The `--paths` part of ``mbmf up``: walks the paths of a file and writes the results.

Exit codes: 0 every path succeeded; 1 some did not; 2 bad input; 3 the graph did not come up, or was lost.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mbmf_ros.control.follow import load_paths, summary
from mbmf_ros.errors import MbmfError
from mbmf_ros.path_runner import ClientConfig, GraphLostError, PathRunner
from mbmf_ros.robots import robot

GRAPH_LOST_EXIT = 3


def walk_all(node: PathRunner, paths: dict[str, np.ndarray], console: Console) -> Iterator[dict[str, Any]]:
    """Walk every path; the rows, one by one."""
    console.print(f"waiting for the graph ({len(paths)} paths to walk) ...")
    node.wait_until_up()
    for index, (name, waypoints) in enumerate(paths.items(), 1):
        console.print(f"{index}/{len(paths)} {name}: {len(waypoints)} waypoints")
        row = node.walk(name, waypoints, console.print)
        yield row
        verdict = "[green]success[/]" if row["success"] else "[red]failed[/]" + (" (fell)" if row["fell"] else "")
        console.print(
            f"{index}/{len(paths)} {name}: {verdict}, {row['reached']} of {row['waypoints']} waypoints "
            f"in {row['sim_s']:.1f} s"
        )
    if node.malformed:
        console.print(f"[yellow]warning:[/]{escape(node.ignored())}")


def write_results(file: str | None, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows so far and their summary, for programs."""
    if file:
        Path(file).write_text(json.dumps({"runs": rows, "summary": summary(rows)}, indent=1) + "\n", encoding="utf-8")


def print_table(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """The rows, for people."""
    table = Table(
        "path", "success", "reached", "cross-track mean / p95 [m]", "speed [m/s]", "plan p50 / p99 [ms]", "late"
    )
    for row in rows:
        text = {key: f"{value:.3g}" if isinstance(value, float) else str(value) for key, value in row.items()}
        table.add_row(
            row["path"],
            "yes" if row["success"] else "no",
            f"{row['reached']}/{row['waypoints']}",
            f"{text['cross_track_mean_m']} / {text['cross_track_p95_m']}",
            text["speed_mean_mps"],
            f"{text['plan_ms_p50']} / {text['plan_ms_p99']}",
            f"{row['deadlines_missed']}/{row['deadlines']}",
        )
    console.print(table)


def main(argv: Sequence[str] | None = None, runner: type[PathRunner] = PathRunner) -> int:
    """``python -m mbmf_ros.up_client CONFIG --ros-args ...``; CONFIG: the fields of ClientConfig as JSON.

    Args:
        argv: see above.
        runner: the node that walks.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    config = ClientConfig(**json.loads(argv[0]))
    console = Console(width=110, highlight=False, soft_wrap=True)
    rows: list[dict[str, Any]] = []
    code = 1
    write_results(config.json, rows)  # not to leave an older run's behind
    rclpy.init(args=argv[1:])
    try:
        node = runner(config, robot(config.robot))
        for row in walk_all(node, load_paths(Path(config.paths)), console):
            rows.append(row)
            write_results(config.json, rows)
        code = 0 if all(row["success"] for row in rows) else 1
    except GraphLostError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        code = GRAPH_LOST_EXIT
    except MbmfError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        code = 2
    except (KeyboardInterrupt, ExternalShutdownException):
        console.print("interrupted")
    finally:
        rclpy.try_shutdown()
    if rows:
        print_table(rows, console)
    return code


if __name__ == "__main__":
    sys.exit(main())
