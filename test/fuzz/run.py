"""The long run: so many hostile messages to every node, counted.

    python test/fuzz/run.py --messages 100000 --seed 0 --json results/fuzz/fuzz.json

Exit code 1: something was found; the JSON says what.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fuzz_names import CASES

sys.path[:0] = [str(Path(__file__).parents[1] / "hardware")]  # robot_side.py


def fuzz(case: str, messages: int, seed: int, folder: Path) -> Any:
    """The report of one node, in a ROS context of its own; for cases see :data:`fuzz_names.CASES`."""
    import rclpy
    from fuzz_bench import FuzzClock
    from fuzz_campaign import Campaign
    from fuzz_nodes import listen, on_bench

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    bench = on_bench(case, folder, context, FuzzClock())
    probe = rclpy.create_node("fuzz_probe", context=context)
    try:
        listen(bench, probe)
        return Campaign(case, bench).run(messages, seed)
    finally:
        bench.node.destroy_node()
        probe.destroy_node()
        rclpy.shutdown(context=context)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000, help="in all, shared equally among the nodes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True, help="file for the numbers")
    parser.add_argument("--nodes", nargs="*", choices=CASES, metavar="NODE", help=f"only these of {', '.join(CASES)}")
    arguments = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with tempfile.TemporaryDirectory(prefix="mbmf_ros_fuzz_") as scratch:
        os.environ["ROS_LOG_DIR"] = scratch
        return _run(arguments, Path(scratch))


def _run(arguments: argparse.Namespace, scratch: Path) -> int:
    from mbmf_ros.experiments.provenance import revision

    names = arguments.nodes or CASES
    started, nodes, version = time.time(), {}, revision()
    for name in names:
        folder = scratch / name
        folder.mkdir()
        begun = time.time()
        report = fuzz(name, -(-arguments.messages // len(names)), arguments.seed, folder)
        nodes[name] = {
            "messages": report.messages,
            **vars(report),
            "wall_s": round(time.time() - begun, 1),
        }
        print(f"{name}: {report.messages} messages, {len(report.findings)} findings", flush=True)
        for key, text in report.findings.items():
            print(f"--- {key}\n{text[:300]}\n...{text[-1200:]}", flush=True)
    findings = sum(len(node["findings"]) for node in nodes.values())
    facts = {
        "messages": sum(node["messages"] for node in nodes.values()),
        "malformed": sum(sum(node["malformed"].values()) for node in nodes.values()),
        "findings": findings,
        "seed": arguments.seed,
        "revision": version,
        "command": " ".join(["python test/fuzz/run.py", *sys.argv[1:]]),
        "wall_s": round(time.time() - started, 1),
        "nodes": nodes,
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
