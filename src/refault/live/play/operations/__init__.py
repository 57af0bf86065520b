"""What the steps of a litmus test are on a real kernel."""

from . import (
    advice,
    arguments,
    buffers,
    copies,
    guests,
    gup,
    mappings,
    memory,
    threads,
    userfaultfd,
)
from .registry import OPEN, OPERATIONS, Gate, Started

__all__ = [
    "OPEN",
    "OPERATIONS",
    "Gate",
    "Started",
    "advice",
    "arguments",
    "buffers",
    "copies",
    "guests",
    "gup",
    "mappings",
    "memory",
    "threads",
    "userfaultfd",
]
