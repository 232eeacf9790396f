"""ROS 2 nodes: thin shells around the core. Each is a process of its own with a single-threaded executor."""
