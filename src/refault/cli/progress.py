"""Progress on a terminal: what is running, for how long, and how fast.

Only a terminal gets it, on stderr, and it leaves nothing behind. ``NO_COLOR`` takes the colours
away, ``--plain`` all of it. Checks that end at once show nothing.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

PATIENCE = 0.5
"""Seconds until a check counts as long enough to be worth a word."""


class Progress:
    """Shows the state of one check after another; ``update`` is what the explorer calls."""

    def __init__(self, *, plain: bool = False) -> None:
        self.counts = (0, 0)
        self._silent = plain or not sys.stderr.isatty()
        self._title = ""
        self._start = 0.0
        self._status: Status | None = None

    def begin(self, title: str) -> None:
        """Start over for the check called ``title``."""
        self.counts = (0, 0)
        self._title = title
        self._start = perf_counter()

    def update(self, states: int, transitions: int, _depth: int) -> None:
        """Note how far the search is, and show it if somebody may be waiting."""
        self.counts = (states, transitions)
        seconds = perf_counter() - self._start
        if self._silent or seconds < PATIENCE:
            return
        if self._status is None:
            self._status = _status()
            self._status.start()
        rate = transitions / seconds / 1e6
        self._status.update(
            f"{self._title}: {states:,} states, {rate:.1f} M transitions/s, {seconds:.0f} s"
        )

    def done(self) -> None:
        """Take away what is shown."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def _status() -> Status:
    from rich.console import Console  # noqa: PLC0415  # costs 50 ms, and only terminals need it

    return Console(stderr=True, highlight=False, markup=False).status("")
