"""Progress: what is running, how far it is, how much there may be, and how fast it goes.

On a terminal two lines on stderr that move and leave nothing behind; elsewhere, or with
``--plain``, the same two lines every ten seconds. Checks that end at once show nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING

import click

from refault.explore.memory import text as size
from refault.explore.progress import Estimate, Figures

if TYPE_CHECKING:
    from rich.status import Status

PATIENCE = 0.5
"""Seconds until a check counts as long enough to be worth a word on a terminal."""

PLAIN = 10.0
"""Seconds between two reports that stay."""

WIDTH = 80
LEAST = 20
"""So much of a title is shown at the least."""


class Progress:
    """Shows one check after another; ``update`` is what the explorer calls, ``now`` the clock."""

    def __init__(self, *, plain: bool = False, now: Callable[[], float] = monotonic) -> None:
        self.counts = (0, 0)
        self._now = now
        self._moving = sys.stderr.isatty() and not plain
        self._title = ""
        self._due = 0.0
        self._status: Status | None = None

    def begin(self, title: str) -> None:
        """Start over for the check called ``title``."""
        self.counts = (0, 0)
        self._title = title
        self._due = self._now() + (PATIENCE if self._moving else PLAIN)

    def update(self, figures: Figures) -> None:
        """Note how far the search is, and show it if somebody may be waiting."""
        if figures.states:
            self.counts = (figures.states, figures.transitions)
        if self._now() < self._due:
            return
        if not self._moving:
            self._due = self._now() + PLAIN
            click.echo("\n".join(lines(self._title, figures)), err=True)
            return
        if self._status is None:
            self._status = _status()
            self._status.start()
        width = self._status.console.width - 2  # the spinner's
        self._status.update("\n".join(lines(self._title, figures, width)))

    def done(self) -> None:
        """Take away what moves."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def _status() -> Status:
    from rich.console import Console  # noqa: PLC0415  # costs 50 ms, and only terminals need it

    return Console(stderr=True, highlight=False, markup=False).status("")


def lines(title: str, figures: Figures, width: int = WIDTH) -> Iterator[str]:
    """The lines that say it, none longer than ``width``; the title gives way first."""
    if figures.states == 0:
        yield _fitted(title, figures.phase, width)
        return
    yield _fitted(title, ", ".join(_counts(figures)), width)
    outlook = ", ".join(_outlook(figures))
    if outlook:
        yield _cut(f"  {outlook}", width)


def _fitted(title: str, text: str, width: int) -> str:
    room = max(LEAST, width - len(text) - 2)
    return _cut(f"{_cut(title, room)}: {text}", width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _counts(f: Figures) -> Iterator[str]:
    yield f"{number(f.states)} {f.units}"
    yield f"{number(f.rate)}/s"
    yield f"{number(f.depth)} deep"
    if f.open:
        yield f"{number(f.open)} open"
    yield f"{size(f.memory)} of {size(f.max_memory)}"


def _outlook(f: Figures) -> Iterator[str]:
    if f.estimate is not None:
        yield from _estimated(f.estimate)
    elif f.units == "states":
        yield "no estimate yet of how many there are in all"
    if f.rival:
        yield "second engine running"


def _estimated(e: Estimate) -> Iterator[str]:
    yield f"about {_range(*map(number, e.states))} in all"
    yield f"{_range(*(str(round(100 * d)) for d in e.done))} % done"
    yield left(*e.seconds)


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low}-{high}"


def left(low: float, high: float) -> str:
    """How much time is left, in the unit that the longer one wants."""
    if not math.isfinite(high):
        return "no end in sight"
    for unit, seconds in (("h", 3600.0), ("min", 60.0)):
        if high >= 2 * seconds:
            return f"{_range(_short(low / seconds), _short(high / seconds))} {unit} left"
    return f"{_range(_short(low), _short(high))} s left"


def _short(value: float) -> str:
    return f"{value:.1f}" if 0.05 <= value < 2 else f"{value:,.0f}"


def number(value: float) -> str:
    """``12.4M`` and the like: three digits are enough."""
    for unit, power in (("G", 9), ("M", 6), ("k", 3)):
        if value >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g}{unit}"
    return f"{value:.0f}"
