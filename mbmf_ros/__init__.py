"""Model-based reinforcement learning for walking robots: learned dynamics, MPC on waypoints, ROS 2 nodes.

Importing this package needs neither ROS 2 nor anything else; `mbmf_ros.nodes` needs ROS 2, and `mbmf_ros.msg` and
`mbmf_ros.action` exist where the messages were built (`make setup` or `colcon build`).
"""

from pkgutil import extend_path

__version__ = "0.1.0"

# The generated messages live in another folder of this package than its sources, unless everything was installed.
__path__ = extend_path(__path__, __name__)
