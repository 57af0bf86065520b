"""Makes the figures that a search tells of itself: rates, memory, and the estimate now and then."""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Callable

from ..memory import resident
from ..progress import Estimate, Figures, Progress
from ..tables.behaviour import Tables
from ._survey import alternatives
from .estimate import Surveyor

EVERY = 0.25
"""Seconds between two reports."""

WINDOW = 10.0
"""The rate is that of so many seconds."""

PATIENCE = 2.0
"""A search that takes less is not surveyed."""

DRAW = 0.01
"""Seconds of sampling for each report, until there are ``ENOUGH``: 4 % of the time, for a while."""
ENOUGH = 2_000


class Meter:
    """Turns the ticks of a search into reports to ``progress``; ``now`` is the clock."""

    def __init__(
        self,
        progress: Progress,
        max_memory: int,
        units: str = "states",
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.rival = False
        self._progress = progress
        self._max_memory = max_memory
        self._units = units
        self._now = now
        self._began = now()
        self._reported = self._began - EVERY
        self._past: deque[tuple[float, int, int]] = deque()
        self._surveyor: Surveyor | None = None

    def restart(self) -> None:
        """The search begins again, perhaps with another reduction."""
        self._surveyor = None
        self._past.clear()

    def tick(
        self, states: int, transitions: int, depth: int, tables: Tables | None, reduce: bool = False
    ) -> None:
        """Report if it is time to; ``tables`` are those of a search of states, to be surveyed."""
        now = self._now()
        if now - self._reported < EVERY:
            return
        self._reported = now
        rates = self._rates(now, states, transitions)
        estimate = None
        if tables is not None and now - self._began > PATIENCE:
            estimate = self._estimate(tables, reduce, states, transitions, rates[1])
        self._progress(
            Figures(
                "searching",
                units=self._units,
                states=states,
                transitions=transitions,
                rate=rates[0],
                depth=depth,
                open=alternatives(tables.core) if tables is not None else 0,
                memory=resident(),
                max_memory=self._max_memory,
                estimate=estimate,
                rival=self.rival,
            )
        )

    def _rates(self, now: float, states: int, transitions: int) -> tuple[float, float]:
        """States and transitions a second, of the last seconds."""
        past = self._past
        if past and states < past[-1][1]:
            past.clear()
        past.append((now, states, transitions))
        while now - past[0][0] > WINDOW:
            past.popleft()
        seconds = now - past[0][0]
        if seconds <= 0:
            return 0.0, 0.0
        return (states - past[0][1]) / seconds, (transitions - past[0][2]) / seconds

    def _estimate(
        self, tables: Tables, reduce: bool, states: int, transitions: int, rate: float
    ) -> Estimate | None:
        if self._surveyor is None:
            self._surveyor = Surveyor(tables, reduce)
        if self._surveyor.drawn < ENOUGH:
            self._surveyor.draw(samples=ENOUGH, tries=1 << 20, seconds=DRAW)
        return self._surveyor.coverage().estimate(states, transitions, rate)
