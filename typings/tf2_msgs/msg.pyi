# Comes with an installed ROS 2 only.
from typing import Any

def __getattr__(name: str) -> Any: ...
