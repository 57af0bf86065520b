"""What a search tells of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Estimate(NamedTuple):
    """How much there is in all: bounds between which the truth lies four times out of five.

    ``states`` in all, ``done`` as a share of them, ``seconds`` until the end at the present rate.
    """

    states: tuple[float, float]
    done: tuple[float, float]
    seconds: tuple[float, float]


class Figures(NamedTuple):
    """How far a search is.

    ``phase`` says what is being done, in words; what follows is zero where the phase has no such
    thing. ``units`` are what is counted, states or traces, ``rate`` those of the last seconds,
    each second; ``depth`` is the length of the present schedule, ``open`` the number of steps on
    it that are still to be taken instead. ``memory`` and ``max_memory`` are those of this process,
    in bytes. ``rival`` tells whether another engine runs in another process.
    """

    phase: str
    units: str = "states"
    states: int = 0
    transitions: int = 0
    rate: float = 0.0
    depth: int = 0
    open: int = 0
    memory: int = 0
    max_memory: int = 0
    estimate: Estimate | None = None
    rival: bool = False


Progress = Callable[[Figures], object]
