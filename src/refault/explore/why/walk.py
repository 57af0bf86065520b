"""Walks through the behaviour tables, a step at a time, in Python.

The engines run at millions of steps a second and keep nothing of a step but where it led. What
explains a schedule wants to know what a step did, and to try it elsewhere; schedules are short,
so here that costs a few microseconds a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..engines.exploration import Path
from ..errors import ReplayDiverged
from ..operation import Crashed, Failed, Op, typed
from ..replay import broken_invariant
from ..runner import Request
from ..tables.behaviour import Tables
from ..tables.predicate import StateView
from ..trace import Finding


class State(NamedTuple):
    """A state as ints: the value of each cell, the local state of each task."""

    values: tuple[int, ...]
    nodes: tuple[int, ...]


class Step(NamedTuple):
    """A step that was taken: where it led, what it did, and what is wrong with it if it failed."""

    state: State
    ops: tuple[Op, ...]
    failure: Finding | None


class _View(StateView):
    """A state as predicates see it."""

    def __init__(self, tables: Tables, state: State) -> None:
        super().__init__(tables)
        self._state = state

    def _ask(self, slot: int) -> int:
        return self._state.values[slot] if slot >= 0 else self._state.nodes[~slot]


class Walker:
    """Takes steps; fills the tables where they have no entry yet."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.tasks = tables.program.tasks

    def start(self) -> State:
        """The initial state: a task's first local state is the first that was made for it."""
        first: dict[int, int] = {}
        for number, node in enumerate(self.tables.nodes):
            first.setdefault(node.task.index, number)
            if len(first) == len(self.tasks):
                break
        values = (0,) * len(self.tables.program.cells)
        return State(values, tuple(first[t.index] for t in self.tasks))

    def pending(self, state: State, task: int) -> Op | None:
        """The operation that a task wants to do next."""
        request = self.tables.nodes[state.nodes[task]].request
        return request.op if isinstance(request, Request) else None

    def options(self, state: State, task: int) -> int:
        """How many outcomes the next step of a task may have."""
        request = self.tables.nodes[state.nodes[task]].request
        if not isinstance(request, Request):
            return 0
        return 1 if request.op is not None else len(request.options)

    def step(self, state: State, task: int, choice: int) -> Step | None:
        """Let a task take one step; ``None`` if it cannot."""
        if choice >= self.options(state, task):
            return None
        values = list(state.values)
        node = state.nodes[task]
        ops: list[Op] = []
        while True:
            after = self._operate(node, values, choice, ops)
            if after is None:
                return None
            failure = after if isinstance(after, Finding) else None
            if not isinstance(after, Finding):
                node = after
                request = self.tables.nodes[node].request
                if isinstance(request, Request) and request.cont:
                    continue
                failure = request if isinstance(request, Finding) else None
            nodes = (*state.nodes[:task], node, *state.nodes[task + 1 :])
            return Step(State(tuple(values), nodes), tuple(ops), failure)

    def _operate(
        self, node: int, values: list[int], choice: int, ops: list[Op]
    ) -> int | Finding | None:
        """Do one operation: the local state after it, what is wrong with it, or ``None``."""
        request = self.tables.nodes[node].request
        assert isinstance(request, Request)
        if request.op is None:
            return self._after(node, choice, request.options[choice])
        op, cell = request.op, request.op.cell.index
        old = values[cell]
        outcome = op.outcome(old)
        if outcome is None:
            return None
        ops.append(op)
        if isinstance(outcome, Failed):
            return outcome.finding
        if isinstance(outcome, Crashed):
            raise op.crash(outcome.error)
        values[cell] = outcome.new
        return self._after(node, old, outcome.result)

    def _after(self, node: int, value: int, result: object) -> int:
        known = self.tables.successors.get((node, typed(result)))
        if known is None:
            self.tables.fill(node, value)
            known = self.tables.successors[(node, typed(result))]
        return known

    def broken(self, state: State) -> Finding | None:
        """The first invariant that does not hold in a state."""
        program = self.tables.program
        return broken_invariant(program, _View(self.tables, state)) if program.invariants else None

    def judge(self, state: State) -> Finding | None:
        """The judgement of a state in which no task can take a step."""
        return self.tables.program.judge(_View(self.tables, state))


class Run:
    """A schedule, walked: ``states`` has the state before each step, and the last one."""

    def __init__(self, walker: Walker, path: Path) -> None:
        self.walker = walker
        self.path = path
        self.states = [walker.start()]
        self.steps: list[Step] = []
        for number, (task, choice) in enumerate(path):
            step = walker.step(self.states[-1], task, choice)
            if step is None:
                raise ReplayDiverged(number, f"step {number} does not fit the behaviour tables")
            self.steps.append(step)
            self.states.append(step.state)

    def __len__(self) -> int:
        return len(self.path)

    @property
    def failed(self) -> bool:
        """Whether the last step broke a property."""
        return bool(self.steps) and self.steps[-1].failure is not None

    def waiting(self) -> Iterator[tuple[int, Op]]:
        """The tasks that cannot go on at the end, each with what it waits to do."""
        end = self.states[-1]
        for task in range(0 if self.failed else len(self.walker.tasks)):
            waits = self.walker.pending(end, task)
            if waits is not None and self.walker.step(end, task, 0) is None:
                yield task, waits

    def delayed(self, at: int, until: int, task: int) -> State | None:
        """The state after the steps from ``at`` to ``until`` without those of the task of ``at``.

        ``task`` does what it did; ``None`` if it cannot, or if a property breaks. Third tasks go
        on as long as what they did touches nothing that a step left out should have touched before.
        """
        left_out = _Footprint(self.steps[at].ops)
        held = {self.path[at][0]}
        state = self.states[at]
        for number in range(at + 1, until):
            mover, choice = self.path[number]
            ops = self.steps[number].ops
            step = None
            if mover not in held and (mover == task or not left_out.meets(ops)):
                step = self.walker.step(state, mover, choice)
            if step is None or step.ops != ops:
                if mover == task:
                    return None
                held.add(mover)
                left_out.add(ops)
            elif step.failure or self.walker.broken(step.state):
                return None
            else:
                state = step.state
        return state


class _Footprint:
    """The cells that some operations touch."""

    def __init__(self, ops: Iterable[Op]) -> None:
        self._touched: set[int] = set()
        self._written: set[int] = set()
        self.add(ops)

    def add(self, ops: Iterable[Op]) -> None:
        """Add what ``ops`` touch."""
        self._touched.update(op.cell.index for op in ops)
        self._written.update(op.cell.index for op in ops if not op.reads)

    def meets(self, ops: Iterable[Op]) -> bool:
        """Whether the order of ``ops`` and of those added may make a difference."""
        return any(op.cell.index in (self._written if op.reads else self._touched) for op in ops)
