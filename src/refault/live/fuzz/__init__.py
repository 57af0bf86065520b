"""Differential fuzzing: random programs, played on the model and performed on the running kernel.

``fuzz()`` makes programs by a seed, compares what the model allows with what the kernel did, and
saves what differs, shrunk, as files that can be replayed.
"""

from .compare import Bench, Compared
from .generate import Recipe, generate
from .reproduce import reproducer
from .run import Tally, fuzz, saved
from .shrink import shrink

__all__ = [
    "Bench",
    "Compared",
    "Recipe",
    "Tally",
    "fuzz",
    "generate",
    "reproducer",
    "saved",
    "shrink",
]
