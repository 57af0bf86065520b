"""Bounds of filling tables: that is Python, which the native searches do not watch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..memory import resident

LOOK = 256
"""Fills between two looks at the memory that the process has taken."""


class OutOfTime(Exception):
    """The deadline passed while a table was being filled."""


class OutOfMemory(MemoryError):
    """The bound of memory was found to be passed before a table was filled; it is unharmed."""


class Bounds:
    """Says when no more is to be filled."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._max_memory = sys.maxsize

    @contextmanager
    def within(self, deadline: float, max_memory: int = sys.maxsize) -> Iterator[None]:
        """Let nothing be filled after ``deadline``, or with over ``max_memory`` bytes resident.

        ``OutOfTime`` and ``OutOfMemory`` tell; a search that they end can go on.
        """
        before = self._deadline, self._max_memory
        self._deadline, self._max_memory = deadline, max_memory
        try:
            yield
        finally:
            self._deadline, self._max_memory = before

    def look(self, filled: int) -> None:
        """Raise where a bound is passed; ``filled`` counts what was filled so far."""
        if time.monotonic() > self._deadline:
            raise OutOfTime
        if filled % LOOK == 0 and resident() > self._max_memory:
            raise OutOfMemory
