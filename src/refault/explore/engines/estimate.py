"""How much there is in all, from the samples of ``_survey``, with bounds that were tried out.

The samples say which share of the states is stored, roughly. How roughly depends on the model, so
it was measured. ``python -m bench.estimate`` stops searches of known totals and compares. The
factors below come from it, and so does the claim that the truth lies within the bounds four times
out of five, for models that had no part in choosing them. Below a share of a fifth the bounds
would be so far apart that they say nothing.
"""

from __future__ import annotations

import math
from bisect import bisect
from typing import NamedTuple

from ..progress import Estimate
from ..tables.behaviour import Tables
from ._core import Core
from ._survey import Survey

BINS = (0.2, 0.4, 0.6, 0.8)
"""Shares from which on the factors are others; there is no estimate below the first."""

STATES = ((0.53, 2.84), (0.58, 2.05), (0.67, 1.37), (0.89, 1.13))
TRANSITIONS = ((0.54, 3.10), (0.58, 2.18), (0.67, 1.44), (0.89, 1.15))
"""Per bin, the bounds of (what there is in all) / (what there is now / the share)."""

SAMPLES, STORED = 150.0, 15.0
"""An estimate rests on samples worth so many, and so many of them stored, at the least."""

WALKS = 200
"""Walks that find out how far the tasks go."""


class Coverage(NamedTuple):
    """The share of the samples that is stored, and how many (stored) samples that rests on."""

    share: float
    samples: float
    stored: float

    @property
    def usable(self) -> bool:
        """Whether that is enough to say something."""
        return self.share >= BINS[0] and self.samples >= SAMPLES and self.stored >= STORED

    @property
    def bin(self) -> int:
        """The number of the bin; -1 below the first."""
        return bisect(BINS, self.share) - 1

    def estimate(self, states: int, transitions: int, rate: float) -> Estimate | None:
        """What there is in all, given what there is now and the transitions made each second."""
        if not self.usable:
            return None
        low, high = (max(1.0, f / self.share) for f in STATES[self.bin])
        first, last = (max(1.0, f / self.share) - 1.0 for f in TRANSITIONS[self.bin])
        seconds = transitions / rate if rate > 0 else math.inf
        return Estimate(
            states=(low * states, high * states),
            done=(1 / high, 1 / low),
            seconds=(first * seconds if first else 0.0, last * seconds if last else 0.0),
        )


class Surveyor:
    """Draws samples of the states of a search, between its runs or while it stands still."""

    def __init__(self, tables: Tables, reduce: bool, seed: int = 1) -> None:
        self._search = tables.core
        self._survey = Survey(Core(tables.native, tables), reduce, seed)
        known = [0] * len(tables.program.tasks)
        for node in tables.nodes:
            known[node.task.index] += 1
        self._survey.scout(WALKS, [2 * n for n in known])

    @property
    def drawn(self) -> int:
        """The number of samples."""
        return self._survey.drawn

    def draw(self, *, samples: int, tries: int, seconds: float) -> None:
        """Draw up to ``samples`` more, in at most so many ``tries`` and ``seconds``."""
        self._survey.draw(samples=samples, tries=tries, seconds=seconds)

    def coverage(self) -> Coverage:
        """How much of the samples the search has stored by now."""
        return Coverage(*self._survey.coverage(self._search))
