# Comes with an installed ROS 2 only.
