"""Quality of service of every topic, by role. `docs/ros-interface.md` says which topic has which."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, reliable: bool = True, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


# A bridge offers `state` reliably, so that the learner can have every message; a subscriber may ask for less.
STATE_PUB = _profile(1000)

# Who logs or counts every state (learner, waypoints, evaluation): loses none, even when busy for a minute.
STATE_ALL = _profile(1000)

# Who acts on a state (controller) or draws it (display, cockpit): only the newest counts, an older one is dropped.
STATE_LATEST = _profile(1, reliable=False)

# An answer must arrive, but only the newest one matters.
ACTION = _profile(1)

# A velocity command is repeated, and only the newest one matters.
COMMAND = _profile(1)

# An emergency stop: a button that is only tapped says true and then false, and neither may push the other out of the
# queue. A bridge listens twice: reliably, as a poor link must lose no stop of a reliable button; and best effort, since
# a reliable subscription hears nothing at all of a best-effort button. A stop that is heard twice is one stop.
ESTOP = (_profile(100), _profile(100, reliable=False))

# The current value for whoever joins late: `path`, `model`, the display's path, a learner's status.
LATCHED = _profile(1, latched=True)

# What people click (RViz, cockpit): rare, and each click counts.
CLICK = _profile(5)

# Standard sensor topics, as published: reliable subscribers (RViz's default) and best-effort ones both match.
SENSOR_PUB = _profile(1)

# Drawings (optimal path, candidates, markers): a lost frame is replaced by the next one.
DRAWING = _profile(1)

# Statistics and diagnostics, read by people and plots.
STATS = _profile(10)

# Simulated time: as ROS 2's own time source subscribes to it.
CLOCK = _profile(1, reliable=False)

# A real robot's sensors, as a bridge listens to them: whatever their drivers offer; a burst after a pause is not lost.
SENSOR = _profile(10, reliable=False)
