"""What the steps of a litmus test are on the model."""

from . import (
    advice,
    arguments,
    buffers,
    copies,
    guests,
    gup,
    mappings,
    memory,
    pages,
    threads,
    userfaultfd,
)
from .registry import OPERATIONS, THINGS

__all__ = [
    "OPERATIONS",
    "THINGS",
    "advice",
    "arguments",
    "buffers",
    "copies",
    "guests",
    "gup",
    "mappings",
    "memory",
    "pages",
    "threads",
    "userfaultfd",
]
