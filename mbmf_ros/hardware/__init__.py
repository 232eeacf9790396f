"""A real robot's sensors and actuators, without ROS: what a hardware bridge computes between its topics."""
