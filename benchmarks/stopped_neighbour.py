"""How long does it take to publish while another process is stopped, with and without shared memory?

    python benchmarks/stopped_neighbour.py

As a bridge, a controller and a learner: a message every few milliseconds, a process that answers each, one that hears
both. The one that answers is stopped for 50 ms as it does. With shared memory it may be stopped while it holds the lock
of a queue: then publishing takes until Fast DDS gives up, a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import rclpy
from std_msgs.msg import Float64MultiArray

from mbmf_ros.deployment import discovery_environment

STOPS, STOPPED_S, PERIOD_S, BLOCKED_S = 300, 0.05, 0.002, 0.2
UP_WITHIN_S = 30.0
SETTINGS = ("ROS_AUTOMATIC_", "ROS_STATIC_", "ROS_DOMAIN_", "FASTDDS_", "FASTRTPS_", "RMW_")
DOMAIN = 1 + os.getpid() % 100
WAYS = {
    "shared memory": {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    "without": discovery_environment("localhost", {"ROS_DISTRO": os.environ.get("ROS_DISTRO", "")}),
}


def neighbour(answers: bool) -> None:
    """Hear every message, and answer it or hear the answers too."""
    rclpy.init()
    node = rclpy.create_node("controller" if answers else "learner")
    if answers:
        publisher = node.create_publisher(Float64MultiArray, "action", 1)
        node.create_subscription(Float64MultiArray, "state", publisher.publish, 1)
    else:
        for topic in ("state", "action"):
            node.create_subscription(Float64MultiArray, topic, lambda _: None, 100)
    rclpy.spin(node)


def bridge() -> None:
    """Print the longest time that a message took to publish during each stop [s], as JSON."""
    neighbours = [subprocess.Popen([sys.executable, __file__, name]) for name in ("controller", "learner")]
    try:
        print(json.dumps(stops(neighbours[0])))
    finally:
        for process in neighbours:
            process.kill()
            process.wait()


def stops(controller: subprocess.Popen[bytes]) -> list[float]:
    """Stop the controller again and again; the longest time to publish during each stop [s]."""
    rclpy.init()
    node = rclpy.create_node("bridge")
    publisher = node.create_publisher(Float64MultiArray, "state", 1)
    node.create_subscription(Float64MultiArray, "action", lambda _: None, 1)
    deadline = time.monotonic() + UP_WITHIN_S
    while publisher.get_subscription_count() < 2 or not node.count_publishers("action"):
        if time.monotonic() > deadline:
            sys.exit(f"error: the neighbours were not up within {UP_WITHIN_S:g} s")
        time.sleep(PERIOD_S)
    message, longest = Float64MultiArray(data=[0.0] * 64), []

    def publish(for_s: float) -> float:
        end, worst = time.monotonic() + for_s, 0.0
        while (begun := time.monotonic()) < end:
            publisher.publish(message)
            worst = max(worst, time.monotonic() - begun)
            rclpy.spin_once(node, timeout_sec=PERIOD_S)
            time.sleep(PERIOD_S)
        return worst

    for _ in range(STOPS):
        publish(STOPPED_S)
        publisher.publish(message)
        rclpy.spin_once(node, timeout_sec=1.0)  # its answer; it is on its way to others still
        controller.send_signal(signal.SIGSTOP)
        longest.append(publish(STOPPED_S))
        controller.send_signal(signal.SIGCONT)
    return longest


def main() -> None:
    """Print the table."""
    print("way             stops   blocked   longest [ms]")
    for way, environment in WAYS.items():
        plain = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        plain |= {"ROS_DOMAIN_ID": str(DOMAIN)} | environment
        command = [sys.executable, __file__, "bridge"]
        longest = json.loads(subprocess.run(command, env=plain, stdout=subprocess.PIPE, check=True).stdout)
        blocked = sum(each > BLOCKED_S for each in longest)
        print(f"{way:13s} {len(longest):7d} {blocked:9d} {1e3 * max(longest):14.1f}", flush=True)


if __name__ == "__main__":
    roles = {"controller": lambda: neighbour(True), "learner": lambda: neighbour(False), "bridge": bridge}
    roles.get(sys.argv[1] if len(sys.argv) > 1 else "", main)()
