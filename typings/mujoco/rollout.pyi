# MuJoCo's classes and functions live in compiled modules without types of their own.
from typing import Any

def __getattr__(name: str) -> Any: ...
