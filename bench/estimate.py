"""Calibrates the estimate of the progress line: ``python -m bench.estimate [--json FILE]``.

Searches whose totals are known are stopped at 1, 2, 5, … 90 % of their states, and what the samples
say then (see ``_survey``) is compared with the truth. Per share of the samples that is stored the
table has the factors between which the truth lies in all but a twentieth of the cases on either
side. Those are the ones of ``explore/engines/estimate.py``.

Models come in groups, the sizes of one bench program or the variants of one scenario, and every
group weighs the same. *Held out*: how often the truth lies between the factors for a group that
had no part in choosing them, each group in its turn. The progress line claims four times of five.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import msgspec
from bench import models

from refault.explore import Program
from refault.explore.engines import _core
from refault.explore.engines.estimate import BINS, Coverage, Surveyor
from refault.explore.engines.exploration import Exploration
from refault.explore.engines.meter import ENOUGH
from refault.explore.tables.futures import Futures, take
from refault.scenarios import all_scenarios

Build = Callable[[Program], None]

STOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
SMALLEST, LARGEST = 100_000, 12_000_000
REDUCTIONS = (False, True, "futures")
TRIES = 100_000
SHARE = 0.05
"""So much of the weight of the cases lies below an interval, and as much above."""


class Case(NamedTuple):
    """A search that was stopped: what was so then, and what all of it comes to."""

    group: str
    model: str
    reduction: str
    states: int
    transitions: int
    all_states: int
    all_transitions: int
    coverage: Coverage

    def error(self, what: str) -> float:
        """The logarithm of (the total as it is) / (as estimated)."""
        if what == "states":
            return math.log(self.all_states * self.coverage.share / self.states)
        return math.log(self.all_transitions * self.coverage.share / self.transitions)


def subjects() -> Iterator[tuple[str, str, Build]]:
    """Group, name and program of each model."""
    families: dict[str, list[tuple[int | bool, ...]]] = {
        "philosophers": [
            (4, 2),
            (5, 2),
            (6, 2),
            (4, 3),
            (5, 3),
            (4, 4),
            (4, 3, True),
            (5, 3, True),
        ],
        "lastzero": [(6,), (8,), (10,)],
        "readers": [(8,), (10,), (12,), (14,)],
        "counter": [(5,), (6,), (7,), (8,)],
        "lockn": [(8,), (10,), (12,)],
        "lastwrite": [(6,), (8,), (10,)],
        "indexer": [(4,), (5,), (6,), (8,)],
        "filesystem": [(4,), (6,), (8,), (14,)],
        "uffd": [(3, 1), (3, 0), (4, 1), (4, 0), (5, 1), (6, 1)],
    }
    for name, sizes in families.items():
        for size in sizes:
            yield name, f"{name}{size}", getattr(models, name)(*size)
    for scenario in all_scenarios():
        for variant in scenario.variants:
            yield scenario.id, f"{scenario.id} {variant}", scenario.build(variant)


class _Search:
    """A search of one model that can be stopped at any number of states."""

    def __init__(self, build: Build, reduction: bool | str) -> None:
        self.exploration = Exploration(build)
        self.core = self.exploration.tables.core
        self.reduction = reduction

    def go(self, states: int, *, resume: bool) -> int:
        return self.core.search(
            reduce=bool(self.reduction),
            resume=resume,
            max_states=states,
            max_memory=1 << 40,
            seconds=120,
        )

    def complete(self) -> bool:
        """Search all, until nothing more is learned; whether it is of a size that counts."""
        tables = self.exploration.tables
        futures: Futures | None = None
        while (code := self.go(LARGEST, resume=False)) in (_core.RESTART, _core.COMPLETE):
            if code == _core.RESTART:
                continue
            now = take(tables) if self.reduction == "futures" else None
            if now is None or (futures is not None and futures.hold(now)):
                return self.core.states >= SMALLEST
            futures = now
            tables.native.set_futures(*futures.packed())
        return False


def cases(group: str, name: str, build: Build, reduction: bool | str) -> Iterator[Case]:
    """Stop the search of a model again and again."""
    search = _Search(build, reduction)
    try:
        if not search.complete():
            return
        core = search.core
        all_states, all_transitions = core.states, core.transitions
        surveyor = Surveyor(search.exploration.tables, bool(reduction))
        surveyor.draw(samples=ENOUGH, tries=TRIES, seconds=60)
        for number, stop in enumerate(STOPS):
            code = search.go(math.ceil(all_states * stop), resume=number > 0)
            if code != _core.LIMIT_STATES:
                return
            yield Case(
                group,
                name,
                str(reduction),
                core.states,
                core.transitions,
                all_states,
                all_transitions,
                surveyor.coverage(),
            )
    finally:
        search.exploration.tables.close()


def quantile(weighted: list[tuple[float, float]], part: float) -> float:
    """Where ``part`` of the weight lies below, of pairs (value, weight)."""
    total, below = sum(w for _, w in weighted), 0.0
    for value, weight in sorted(weighted):
        below += weight
        if below >= part * total:
            return value
    return math.nan


Interval = tuple[float, float]


def weighed(cases: list[Case], what: str) -> list[tuple[float, float]]:
    """The errors, so that each group weighs the same."""
    sizes = Counter(c.group for c in cases)
    return [(c.error(what), 1 / sizes[c.group]) for c in cases]


def between(cases: list[Case], what: str) -> Interval:
    """The interval of errors that the cases choose."""
    errors = weighed(cases, what)
    return quantile(errors, SHARE), quantile(errors, 1 - SHARE)


def held_out(cases: list[Case], what: str) -> float:
    """How often the truth is in the interval that the other groups choose: the mean over groups."""
    kept = []
    for group in {c.group for c in cases}:
        low, high = between([c for c in cases if c.group != group], what)
        errors = [c.error(what) for c in cases if c.group == group]
        kept.append(sum(low <= e <= high for e in errors) / len(errors))
    return fmean(kept) if len(kept) > 1 else math.nan


def table(cases: list[Case]) -> Iterator[str]:
    """The table, line by line."""
    searches = {(c.model, c.reduction) for c in cases}
    groups = {c.group for c in cases}
    yield f"{len(cases)} stops of {len(searches)} searches of models in {len(groups)} groups"
    none = [c.states / c.all_states for c in cases if not c.coverage.usable]
    late = sum(done > 0.21 for done in none)
    yield f"no estimate at {len(none)} of them, {late} with more than a fifth done"
    yield "share stored    stops   states in all   held out   transitions   held out"
    for number, least in enumerate(BINS):
        inside = [c for c in cases if c.coverage.usable and c.coverage.bin == number]
        line = f"from {least:4.0%} {len(inside):11}"
        for what in ("states", "transitions"):
            low, high = (math.exp(e) for e in between(inside, what))
            line += f"   {low:5.2f} to {high:4.2f} {held_out(inside, what):9.0%}"
        yield line


def main() -> None:
    """Measure, or read what was measured; print the table."""
    parser = argparse.ArgumentParser(prog="bench.estimate", description=__doc__)
    parser.add_argument("--json", type=Path, help="keep the cases here; if it is there, read them")
    asked = parser.parse_args()
    if asked.json and asked.json.exists():
        found = msgspec.json.decode(asked.json.read_bytes(), type=list[Case])
    else:
        found = []
        for group, name, build in subjects():
            for reduction in REDUCTIONS:
                found += cases(group, name, build, reduction)
            print(f"{len(found):6} {name}", file=sys.stderr, flush=True)
        if asked.json:
            asked.json.write_bytes(msgspec.json.encode(found))
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
