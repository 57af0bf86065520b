"""What the steps of a litmus test are on the model."""

from . import advice, arguments, buffers, memory, pages, threads, userfaultfd
from .registry import OPERATIONS

__all__ = [
    "OPERATIONS",
    "advice",
    "arguments",
    "buffers",
    "memory",
    "pages",
    "threads",
    "userfaultfd",
]
