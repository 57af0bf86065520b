"""What is known of the operations that a program executes: who does them where, and what for."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from ..cell import Cell
from ..operation import Done, Op
from ..program import Task
from ..runner import Request
from ..tables.behaviour import Tables
from .sites import Call, Chain, Function, Recorder, Step, recorded

READ, WRITE = "read", "write"


class Role(NamedTuple):
    """What an operation does for a task to the lock in its cell; ``results`` are of successes."""

    takes: bool
    gives: bool
    results: tuple[Any, ...]


class Effect(NamedTuple):
    """What an operation does at any known value: whether it changes the cell, or blocks."""

    changes: bool
    blocks: bool
    results: frozenset[tuple[type, Any]]


class Occurrence(NamedTuple):
    """A task does an operation from a chain of calls."""

    chain: Chain
    op: Op
    task: str


def role(op: Op, task: str) -> Role:
    """Read off the known outcomes whether an operation takes a lock or gives it back."""
    holders = op.cell.holders
    takes, gives = False, False
    results: list[Any] = []
    for value, outcome in op.outcomes.items():
        if holders is None or not isinstance(outcome, Done):
            continue
        before = task in holders(op.cell.values[value])
        after = task in holders(op.cell.values[outcome.new])
        gives |= before and not after
        if after and not before:
            takes = True
            results.append(outcome.result)
    return Role(takes, gives, tuple(results))


def effect(op: Op) -> Effect:
    """Read off the known outcomes what an operation can do."""
    done = [(v, o) for v, o in op.outcomes.items() if isinstance(o, Done)]
    return Effect(
        changes=any(o.new != v for v, o in done),
        blocks=any(o is None for o in op.outcomes.values()),
        results=frozenset((type(o.result), o.result) for _, o in done),
    )


class Executed:
    """What the tasks execute in all histories that a search has put into its tables."""

    def __init__(self, tables: Tables) -> None:
        self.program = tables.program
        self.users: dict[int, set[str]] = defaultdict(set)
        self.changers: dict[int, set[str]] = defaultdict(set)
        self.occurrences: dict[Occurrence, None] = {}
        self.blocks: dict[Call, set[int]] = {}
        self._later: dict[Occurrence, set[tuple[str, int, Occurrence]]] = defaultdict(set)
        self._steps_in: dict[Function, int] = defaultdict(int)
        self._owned: dict[tuple[Chain, int], int] = {}
        self._waited: dict[tuple[Function, Chain, int], int] = {}
        self._effects: dict[Op, Effect] = {}
        self._roles: dict[tuple[Op, str], Role] = {}
        self._note_cells(tables)
        for task, recorder in recorded(tables):
            self._digest(task, recorder)

    def effect(self, op: Op) -> Effect:
        """What ``op`` can do."""
        if op not in self._effects:
            self._effects[op] = effect(op)
        return self._effects[op]

    def role(self, op: Op, task: str) -> Role:
        """What ``op`` does to a lock."""
        if (op, task) not in self._roles:
            self._roles[op, task] = role(op, task)
        return self._roles[op, task]

    def shared(self, cell: Cell[Any], task: str) -> bool:
        """Whether tasks other than this one use the cell."""
        return bool(self.users[cell.index] - {task})

    def place(self, occurrence: Occurrence) -> Chain:
        """The chain up to the function that the operation belongs to."""
        calls, cell = occurrence.chain, occurrence.op.cell.index
        owner = self._owned.get((calls, cell))
        if owner is None and self.effect(occurrence.op).blocks:
            owner = self._waited.get((calls[0].function, calls[1:], cell))
        if owner is None:
            busy = (n for n, c in enumerate(calls) if self._steps_in[c.function] > 1)
            owner = next(busy, len(calls) - 1)
        return calls[: owner + 1]

    def behind(self, seen: Occurrence, way: str) -> list[Occurrence]:
        """What comes next after a write: the reads, or the writes, that matter to other tasks.

        They must be part of the same work: of the function that the write belongs to, or of a
        scope around both.
        """
        owner = len(self.place(seen)) - 1
        return [
            after
            for kind, level, after in self._later.get(seen, ())
            if kind == way and (level <= owner or seen.chain[level].scope)
        ]

    def _note_cells(self, tables: Tables) -> None:
        for node in tables.nodes:
            if isinstance(node.request, Request) and node.request.op is not None:
                op = node.request.op
                self.users[op.cell.index].add(node.task.name)
                if self.effect(op).changes:
                    self.changers[op.cell.index].add(node.task.name)

    def _digest(self, task: Task, recorder: Recorder) -> None:
        steps = recorder.steps
        for step in steps:
            self.occurrences.setdefault(Occurrence(step.chain, step.op, task.name))
        self._note_blocks(recorder)
        self._count(steps)
        self._pair_locks(task.name, steps)
        for number in range(len(steps)):
            self._look_ahead(task.name, recorder, number)

    def _note_blocks(self, recorder: Recorder) -> None:
        """Note which cells an atomic block is about that takes more than one operation."""
        inside: dict[int, list[int]] = defaultdict(list)
        for step in recorder.steps:
            inside[step.block].append(step.op.cell.index)
        for block, cells in inside.items():
            if block and len(cells) > 1:
                self.blocks.setdefault(recorder.blocks[block][0], set()).update(cells)

    def _count(self, steps: list[Step]) -> None:
        """Count the steps of each call; an atomic block is one."""
        last: dict[int, int] = {}
        counted: dict[int, int] = defaultdict(int)
        for number, step in enumerate(steps):
            unit = -step.block or number
            for call, activation in zip(step.chain, step.activations, strict=True):
                if last.get(activation) != unit:
                    last[activation] = unit
                    counted[activation] += 1
                most = max(self._steps_in[call.function], counted[activation])
                self._steps_in[call.function] = most

    def _pair_locks(self, task: str, steps: list[Step]) -> None:
        """A lock belongs to the innermost call in which it is both taken and given back.

        So does what else is waited for in the call that takes it: its turn, once it has queued.
        """
        taken: dict[int, list[Step]] = defaultdict(list)
        for step in steps:
            if step.op.cell.holders is None:
                continue
            cell = step.op.cell.index
            does = self.role(step.op, task)
            if does.takes and step.result in does.results:
                taken[cell].append(step)
            elif does.gives and taken[cell]:
                at = taken[cell].pop()
                common = _common(at.activations, step.activations)
                owner = max(self._owned.get((at.chain, cell), 0), len(at.chain) - common)
                self._owned[at.chain, cell] = owner
                self._waited[at.chain[0].function, at.chain[1:], cell] = owner

    def _look_ahead(self, task: str, recorder: Recorder, number: int) -> None:
        """Find what a write would have to be moved behind for others to see the difference."""
        start = recorder.steps[number]
        if not self._can_move(start.op, task):
            return
        later = self._later[Occurrence(start.chain, start.op, task)]
        missing = {READ, WRITE}
        for step in recorder.steps[number + 1 : _horizon(recorder, number)]:
            if step.op.cell is start.op.cell or not missing:
                return
            if step.op.cell.holders is not None or (step.block and step.block == start.block):
                continue
            level = len(start.chain) - _common(start.activations, step.activations)
            for way in missing & self._ways(step.op, task):
                missing.remove(way)
                later.add((way, level, Occurrence(step.chain, step.op, task)))

    def _can_move(self, op: Op, task: str) -> bool:
        known = self.effect(op)
        only_none = known.results == {(type(None), None)}
        writes = only_none and not op.reads and not known.blocks
        return writes and op.cell.holders is None and self.shared(op.cell, task)

    def _ways(self, op: Op, task: str) -> set[str]:
        """Whether the operation is a read or a write, or both, that matters to other tasks."""
        ways = set()
        tells = op.reads or self.effect(op).results != {(type(None), None)}
        if tells and self.changers[op.cell.index] - {task}:
            ways.add(READ)
        if not op.reads and self.shared(op.cell, task):
            ways.add(WRITE)
        return ways


def _horizon(recorder: Recorder, number: int) -> int:
    """Where a loop around the step goes into its next round."""
    around = recorder.steps[number].activations
    rounds = (at for at, call in recorder.restarts if at > number and call in around)
    return next(rounds, len(recorder.steps))


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many of the outermost calls are the same."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
