"""`pip install .` installs the core that needs no ROS 2, and `mbmf`; everything about it stands in pyproject.toml.

The ROS 2 package is built by colcon from package.xml and CMakeLists.txt.
"""

from setuptools import setup

setup()
