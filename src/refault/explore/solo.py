"""One run of one task, with nobody else there: what a function does, without a search.

It needs no greenlet and keeps no tables, so thousands of runs take a second. What a run comes to is
a return, a broken property, an operation that would wait for ever, or a loop: as nobody else
changes anything, a task that comes back to where it was, with all cells as they were, goes round
for ever. Where a task is, is a 64-bit hash of its folded history.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NoReturn, TypeVar

from . import runtime
from .cell import Cell
from .errors import ModelError, Violation
from .operation import Done, Failed, Op, typed
from .program import Program

T = TypeVar("T")


class Stuck(Exception):
    """The task waits for what nobody will do; ``op`` is its operation."""

    def __init__(self, op: Op) -> None:
        super().__init__(f"waits at {op}")
        self.op = op


class Ended(Exception):
    """The task has ended before its function returned."""


class Endless(Exception):
    """The task is where it was before, and so is everything else."""


class Solo:
    """A run of one task of a program, from the initial values of all cells.

    ``self[cell]`` is the value of a cell, during the run and after it.
    """

    def __init__(self, program: Program, task_name: str) -> None:
        self.program = program
        self.task_name = task_name
        self.atomic = 0
        self.notes: list[str] = []
        self._values = [0] * len(program.cells)
        self._fold = 0
        self._scopes: list[int] = []
        self._seen: set[tuple[Hashable, ...]] = set()

    def __getitem__(self, cell: Cell[T]) -> T:
        return cell.values[self._values[cell.index]]

    def run(self, function: Callable[[], T]) -> T:
        """Run a function as the task; raises ``Violation``, ``Stuck``, ``Ended`` or ``Endless``."""
        outer, runtime.current = runtime.current, self
        try:
            return function()
        finally:
            runtime.current = outer

    def ask(self, op: Op) -> Any:
        """Do one operation."""
        outcome = op.outcome(self._values[op.cell.index])
        if isinstance(outcome, Done):
            self._values[op.cell.index] = outcome.new
            self._fold = hash((self._fold, typed(outcome.result)))
            return outcome.result
        if isinstance(outcome, Failed):
            raise Violation(outcome.finding.kind, outcome.finding.message)
        if outcome is None:
            raise Stuck(op)
        raise op.crash(outcome.error)

    def perform(self, op: Op) -> Any:
        """Do one operation; no mutation comes in between."""
        return self.ask(op)

    def choose(self, options: tuple[Any, ...]) -> Any:
        """Refuse: a single run has no alternatives."""
        raise ModelError("a choice in a run of one task", "choose before, and run once for each")

    def restart(self, site: Hashable, state: tuple[Any, ...]) -> None:
        """Forget the history of the scope, and find a loop that leads nowhere."""
        base = self._scopes[-1] if self._scopes else 0
        self._fold = hash(("restart", base, site, tuple(map(typed, state))))
        here = (self._fold, *self._values)
        if here in self._seen:
            raise Endless
        self._seen.add(here)

    def enter(self, name: str) -> None:
        """Begin a scope."""
        self._scopes.append(self._fold)
        self._fold = hash(("enter", self._fold))

    def leave(self, name: str, result: Any) -> None:
        """End a scope; its history is what it returned."""
        before = self._scopes.pop()
        try:
            self._fold = hash(("return", before, typed(result)))
        except TypeError:
            return

    def abandon(self, name: str) -> None:
        """End a scope that raised."""
        self._scopes.pop()

    def note(self, text: str) -> None:
        """Keep an observation."""
        self.notes.append(text)

    def reach(self, name: str) -> None:
        """Nothing is made of it in a single run."""

    def finish(self) -> NoReturn:
        """End the task where it is."""
        raise Ended
