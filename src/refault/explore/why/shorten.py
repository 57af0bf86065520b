"""Shortening a schedule that is not known to be the shortest.

Where the search for the schedule with the fewest context switches met a bound, what is left is the
schedule by which a finding happened to be met, which may wander. It is made shorter greedily: a
block of steps of one task is moved to its neighbour of the same task, or left out; what still
ends in the same kind of finding, with fewer context switches or as few and fewer steps, is kept.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator
from itertools import groupby, pairwise

from ..engines.exploration import Path
from ..trace import Finding
from .walk import State, Walker

Blocks = list[Path]


def shorten(walker: Walker, path: Path, kind: str, deadline: float) -> Path:
    """A schedule to a finding of ``kind`` that is no longer than ``path``."""
    best = path
    while True:
        better = _improved(walker, best, kind, deadline)
        if better is None:
            return best
        best = better


def _improved(walker: Walker, path: Path, kind: str, deadline: float) -> Path | None:
    for candidate in _candidates(path):
        if clock.monotonic() > deadline:
            return None
        fitted = _fit(walker, candidate, kind)
        if fitted is not None and _cost(fitted) < _cost(path):
            return fitted
    return None


def _cost(path: Path) -> tuple[int, int]:
    return sum(a[0] != b[0] for a, b in pairwise(path)), len(path)


def _candidates(path: Path) -> Iterator[Path]:
    blocks = [list(block) for _, block in groupby(path, key=lambda step: step[0])]
    for i, block in enumerate(blocks):
        yield _joined([*blocks[:i], *blocks[i + 1 :]])
        following = _next_of_task(blocks, i)
        if following is not None:
            between = blocks[i + 1 : following]
            rest = blocks[following + 1 :]
            yield _joined([*blocks[:i], block, blocks[following], *between, *rest])
            yield _joined([*blocks[:i], *between, block, blocks[following], *rest])


def _next_of_task(blocks: Blocks, at: int) -> int | None:
    task = blocks[at][0][0]
    return next((i for i in range(at + 1, len(blocks)) if blocks[i][0][0] == task), None)


def _joined(blocks: Blocks) -> Path:
    return [step for block in blocks for step in block]


def _fit(walker: Walker, path: Path, kind: str) -> Path | None:
    """The steps of ``path`` that can be taken, up to a finding of ``kind``; else ``None``.

    Where the steps end before the run does, it goes on with as few context switches as may be.
    """
    state = walker.start()
    taken: Path = []
    found: Finding | None = None
    steps = iter(path)
    while found is None:
        task, choice = next(steps, None) or _any_step(walker, state, taken)
        if task < 0:
            found = walker.judge(state)
            break
        if len(taken) > 2 * len(path):
            return None
        step = walker.step(state, task, choice)
        if step is not None:
            taken.append((task, choice))
            state = step.state
            found = step.failure or walker.broken(state)
    return taken if found is not None and found.kind == kind else None


def _any_step(walker: Walker, state: State, taken: Path) -> tuple[int, int]:
    """A step that can be taken, by the task that ran last if it can; (-1, 0) if there is none."""
    last = taken[-1][0] if taken else 0
    tasks = [last, *(t for t in range(len(walker.tasks)) if t != last)]
    return next(((t, 0) for t in tasks if walker.step(state, t, 0) is not None), (-1, 0))
