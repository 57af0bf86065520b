"""The schedule with the fewest context switches to a kind of finding, where it can be had."""

from __future__ import annotations

import time as clock

from ..tables.bounds import OutOfTime
from ..trace import Finding
from ..verdict import Limits
from . import _core
from ._shortest import shortest
from .exploration import Exploration, Outcome, Path


class _ByKind:
    """Finding number to kind, for numbers that may still be added."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings

    def get(self, number: int) -> str:
        return self._findings[number].kind


def best_path(
    exploration: Exploration, outcome: Outcome, kind: str, limits: Limits, deadline: float
) -> tuple[Finding, Path, bool]:
    """A finding of ``kind``, a schedule to it, and whether none has fewer switches, then steps.

    What is not found before ``deadline`` (of ``time.monotonic``), or in the memory that there is,
    is the schedule that the search had. The tables must be those of the search that had the
    ``outcome``, unless that knows the best itself.
    """
    finding, path = outcome.found[kind]
    if kind in outcome.minimal:
        return finding, path, True
    complete = outcome.code == _core.COMPLETE and outcome.numbers is not None
    try:
        with exploration.tables.bounds.within(deadline, limits.soft_memory):
            better, _code = shortest(
                exploration.tables.core,
                _ByKind(exploration.tables.findings),
                kind,
                found=outcome.numbers if complete else None,
                max_states=limits.max_states,
                max_memory=limits.soft_memory,
                seconds=max(0.0, deadline - clock.monotonic()),
            )
    except (OutOfTime, MemoryError):
        better = None
    if better is None:
        return finding, path, False
    return exploration.tables.findings[better[0]], better[1], True


def with_best_paths(
    exploration: Exploration, outcome: Outcome, limits: Limits, deadline: float
) -> Outcome:
    """The outcome with the best schedule to each kind, for those who do not have the tables."""
    best = {kind: best_path(exploration, outcome, kind, limits, deadline) for kind in outcome.found}
    return outcome._replace(
        found={kind: (finding, path) for kind, (finding, path, _) in best.items()},
        minimal=frozenset(kind for kind, (_, _, minimal) in best.items() if minimal),
        numbers=None,
    )
