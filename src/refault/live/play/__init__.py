"""Litmus tests on the running kernel: ``Stage`` performs a program, ``observe`` counts outcomes."""

from .rounds import observe
from .stage import Stage

__all__ = ["Stage", "observe"]
