"""Which orders of a counterexample matter.

Two steps of different tasks that use the same cell, one of them writing it, are tried the other
way round: the task of the first is held back just before it until the second has been done, and
meanwhile all others go on as in the schedule, as far as they still can. If from there on the
finding cannot come about any more, whatever is done, their order *matters*. If the second cannot
be done then, or its task does something else by then, the pair cannot be reversed and says nothing.

Pairs are tried the closest first. One whose order follows from those that are known to matter, and
from the order within each task, is not tried.

What a task was still waiting to do at the end counts as a last step of it: two tasks in a deadlock
have each come too late for a lock.
"""

from __future__ import annotations

import time as clock
from collections import defaultdict
from typing import NamedTuple

from ..cell import Mode
from ..operation import Op
from ..trace import Order
from .prospects import Prospects
from .walk import Run

NEAR = 100
"""Of the uses of a cell before an operation, so many are paired with it."""


class Use(NamedTuple):
    """An operation of the run, by the step and the task that did it."""

    at: int
    task: int
    op: Op
    writes: bool


class Pair(NamedTuple):
    """Two uses of a cell that do not commute."""

    first: Use
    second: Use

    @property
    def distance(self) -> tuple[int, int]:
        """How far apart they are; of equals, the earlier is the closer."""
        return self.second.at - self.first.at, self.first.at


class Orders:
    """Tries the pairs of a run that ends in a finding of ``kind``."""

    def __init__(self, run: Run, prospects: Prospects, kind: str, deadline: float) -> None:
        self._run = run
        self._walker = run.walker
        self._prospects = prospects
        self._kind = kind
        self._deadline = deadline
        self._by_cell = self._uses()
        self._all = self._pairs()
        self._mattering: list[Pair] = []
        self.complete = True

    def find(self) -> tuple[Order, ...]:
        """The pairs that were reversed, in the order of the schedule."""
        harmless: list[Pair] = []
        for pair in self._all:
            if clock.monotonic() > self._deadline:
                self.complete = False
                break
            if self._follows(pair):
                continue
            matters = self._matters(pair)
            if matters:
                self._mattering.append(pair)
            elif matters is False and self._neighbours(pair):
                harmless.append(pair)
        told = [self._order(p, matters=False) for p in harmless]
        told += [self._order(p, matters=True) for p in self._essential()]
        return tuple(sorted(told, key=lambda o: (o.first, o.second)))

    def _essential(self) -> list[Pair]:
        """The pairs that matter, told by what locks protect, without those that follow."""
        pairs = sorted({self._inside(p) for p in self._mattering}, key=lambda p: p.distance)
        self._mattering = []
        for pair in pairs:
            if not self._follows(pair):
                self._mattering.append(pair)
        return self._mattering

    def _order(self, pair: Pair, *, matters: bool) -> Order:
        first, second = pair
        names = [t.name for t in self._walker.tasks]
        return Order(
            first=first.at,
            second=second.at,
            tasks=(names[first.task], names[second.task]),
            operations=(first.op.name, second.op.name),
            cell=first.op.cell.name,
            matters=matters,
        )

    def _inside(self, pair: Pair) -> Pair:
        """The closest pair in the critical sections that two acquisitions of a lock begin.

        One order is the other, and what the lock protects tells more than the lock. A pair that
        can be reversed all the same, because somebody breaks the lock, must matter itself.
        """
        first, second = pair
        modes = self._mode(first), self._mode(second)
        if None in modes or "x" not in modes:
            return pair
        ends = self._last_of_section(first), self._last_of_section(second)
        inside = (
            p
            for p in self._all
            if (p.first.task, p.second.task) == (first.task, second.task)
            and p.first.op.cell.holders is None
            and first.at <= p.first.at <= ends[0]
            and second.at <= p.second.at <= ends[1]
        )
        closest = next(inside, pair)
        return pair if self._matters(closest) is False else closest

    def _mode(self, use: Use) -> Mode | None:
        """How a task holds a lock after an operation on it, if it does."""
        cell = use.op.cell
        if cell.holders is None or use.at == len(self._run):
            return None
        value = cell.values[self._run.states[use.at + 1].values[cell.index]]
        return cell.holders(value).get(self._walker.tasks[use.task].name)

    def _last_of_section(self, acquired: Use) -> int:
        cell = acquired.op.cell.index
        return next(
            (
                u.at
                for u in self._by_cell[cell]
                if u.task == acquired.task and u.at > acquired.at and u.writes
            ),
            len(self._run),
        )

    def _neighbours(self, pair: Pair) -> bool:
        """Whether a context switch is all that lies between the two."""
        between = {t for t, _ in self._run.path[pair.first.at : pair.second.at + 1]}
        return between <= {pair.first.task, pair.second.task} and pair.distance[0] == 1

    def _pairs(self) -> list[Pair]:
        pairs: dict[tuple[int, int, int], Pair] = {}
        for uses in self._by_cell.values():
            for number, second in enumerate(uses):
                for first in uses[max(0, number - NEAR) : number]:
                    if first.at == second.at or first.task == second.task:
                        continue
                    if first.writes or second.writes:
                        pair = Pair(first, second)
                        pairs.setdefault((first.at, second.at, second.task), pair)
        return sorted(pairs.values(), key=lambda p: p.distance)

    def _uses(self) -> dict[int, list[Use]]:
        uses: dict[int, list[Use]] = defaultdict(list)
        for at, ((task, _), step) in enumerate(zip(self._run.path, self._run.steps, strict=True)):
            for op in step.ops:
                uses[op.cell.index].append(Use(at, task, op, not op.reads))
        for task, waits in self._run.waiting():
            uses[waits.cell.index].append(Use(len(self._run), task, waits, not waits.reads))
        return uses

    def _follows(self, pair: Pair) -> bool:
        """Whether the order of the pair follows from those known to matter."""
        reached = {(pair.first.task, pair.first.at)}
        todo = list(reached)
        while todo:
            task, at = todo.pop()
            if task == pair.second.task and at <= pair.second.at:
                return True
            for first, second in self._mattering:
                point = (second.task, second.at)
                if first.task == task and first.at >= at and point not in reached:
                    reached.add(point)
                    todo.append(point)
        return False

    def _matters(self, pair: Pair) -> bool | None:
        """Whether the finding is out of reach with the pair reversed; ``None`` if it cannot be."""
        second = pair.second
        state = self._run.delayed(pair.first.at, second.at, second.task)
        if state is None:
            return None
        choice = self._run.path[second.at][1] if second.at < len(self._run) else 0
        step = self._walker.step(state, second.task, choice)
        if step is None or second.op not in step.ops:
            return None
        wrong = step.failure or self._walker.broken(step.state)
        if wrong is not None:
            return wrong.kind != self._kind
        reachable = self._prospects.reachable(step.state)
        if reachable is None:
            self.complete = False
            return None
        return not reachable
