"""The `--paths` part of ``mbmf up``: walks the paths of a file and writes the results.

Exit codes: 0 every path succeeded; 1 some did not; 2 bad input; 3 the graph did not come up, or was lost.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rich.console import Console
from rich.table import Table

from mbmf_ros.control.follow import load_paths, summary
from mbmf_ros.errors import MbmfError
from mbmf_ros.path_runner import ClientConfig, GraphLostError, PathRunner
from mbmf_ros.robots import robot

GRAPH_LOST_EXIT = 3


def walk_all(node: PathRunner, paths: dict[str, np.ndarray], rows: list[dict[str, Any]], console: Console) -> None:
    """Walk every path; appends one row each to ``rows``."""
    console.print(f"waiting for the graph ({len(paths)} paths to walk) ...")
    node.wait_until_up()
    for index, (name, waypoints) in enumerate(paths.items(), 1):
        console.print(f"{index}/{len(paths)} {name}: {len(waypoints)} waypoints")
        row = node.walk(name, waypoints, console.print)
        rows.append(row)
        verdict = "[green]success[/]" if row["success"] else "[red]failed[/]" + (" (fell)" if row["fell"] else "")
        console.print(
            f"{index}/{len(paths)} {name}: {verdict}, {row['reached']} of {row['waypoints']} waypoints "
            f"in {row['sim_s']:.1f} s"
        )


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


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m mbmf_ros.up_client CONFIG --ros-args ...``; CONFIG: the fields of ClientConfig as JSON."""
    argv = list(sys.argv[1:] if argv is None else argv)
    config = ClientConfig(**json.loads(argv[0]))
    console = Console(width=110, highlight=False, soft_wrap=True)
    rows: list[dict[str, Any]] = []
    code = 1
    rclpy.init(args=argv[1:])
    try:
        paths = load_paths(Path(config.paths))
        node = PathRunner(config, robot(config.robot))
        walk_all(node, paths, rows, console)
        code = 0 if all(row["success"] for row in rows) else 1
    except GraphLostError as error:
        console.print(f"[red]error:[/] {error}")
        code = GRAPH_LOST_EXIT
    except MbmfError as error:
        console.print(f"[red]error:[/] {error}")
        code = 2
    except (KeyboardInterrupt, ExternalShutdownException):
        console.print("interrupted")
    finally:
        rclpy.try_shutdown()
    if rows:
        print_table(rows, console)
    if config.json:
        Path(config.json).write_text(json.dumps({"runs": rows, "summary": summary(rows)}, indent=2) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
