"""Mutations that come late: looks that show what was, writes that others see only later.

Both have to remember something from one operation of a task to another. They keep it in cells,
one for each task, so that it is part of the state that the search sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..cell import Cell
from ..operation import Op
from ..program import Performer, Program
from .mutation import Hook, Mutation, Site, keep, recall


@dataclass(frozen=True, kw_only=True)
class Stale(Mutation):
    """A look at a cell shows the value that the task last saw or left there.

    A task that has not used the cell before sees the value from the beginning.
    """

    kind: ClassVar[str] = "re-check"

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        return "as it was known before"

    @property
    def point(self) -> str:
        """What nothing depends on if this makes no difference."""
        return f"{super().point} finding out anything new"

    def hook(self, program: Program) -> Hook:
        """What does it in ``program``."""
        return _Stale(program, self)


class _Stale(Hook):
    """Keeps, for each task and cell, a cell with what the task knows of it."""

    def __init__(self, program: Program, mutation: Mutation) -> None:
        super().__init__(program, mutation)
        self.differed = False
        self._known: dict[tuple[str, str], Cell[Any]] = {
            (task, cell.name): program.cell(f"{cell.name} as {task} knows it", cell.values[0])
            for cell in tuple(program.cells)
            for task in mutation.tasks
            if cell.name in mutation.cells
        }

    def perform(self, run: Performer, op: Op) -> Any:
        known = self._known.get((run.task_name, op.cell.name))
        if known is None:
            return run.ask(op)
        do = self._old if self.at(op, self.sites) else self._new
        run.atomic += 1
        try:
            return do(run, op, known)
        finally:
            run.atomic -= 1

    def _old(self, run: Performer, op: Op, known: Cell[Any]) -> Any:
        now = run.ask(op)
        value = run.ask(known.op("recall", recall, ()))
        before = op.args[0](value, *op.args[1:]) if op.args else value
        self.differed |= now != before
        return before

    def _new(self, run: Performer, op: Op, known: Cell[Any]) -> Any:
        result = run.ask(op)
        value = run.ask(self.look(op))
        run.ask(known.op("keep", keep, (value,)))
        return result


@dataclass(frozen=True, kw_only=True)
class Delay(Mutation):
    """A write takes place only after the task's next operation at one of ``targets``.

    As if the line had been moved down behind ``before``, which names the targets; the write comes
    earlier if the task uses the same cell again, or comes here again, or ends.
    """

    kind: ClassVar[str] = "ordering"
    before: str
    targets: frozenset[Site]

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        return f"only after {self.before}"

    @property
    def point(self) -> str:
        """What nothing depends on if this makes no difference."""
        return f"{super().point} coming before {self.before}"

    def hook(self, program: Program) -> Hook:
        """What does it in ``program``."""
        return _Delay(program, self)


class _Delay(Hook):
    """Keeps, for each task, a cell with the write that it owes, and whether that is due."""

    def __init__(self, program: Program, mutation: Delay) -> None:
        super().__init__(program, mutation)
        self._targets = mutation.targets
        self._writes: dict[int, Op] = {}
        self._owed: dict[str, Cell[tuple[int, bool] | None]] = {
            task: program.cell(f"what {task} owes", None) for task in mutation.tasks
        }

    def perform(self, run: Performer, op: Op) -> Any:
        owed = self._owed.get(run.task_name)
        if owed is None:
            return run.ask(op)
        debt = run.ask(owed.op("recall", recall, ()))
        here = op.cell.name in self.cells and self.at(op, self.sites)
        if debt and (here or self._must_pay(run, op, debt)):
            self._pay(run, owed, debt)
            debt = None
        if here:
            self._writes[op.index] = op
            return run.ask(owed.op("keep", keep, ((op.index, False),)))
        result = run.ask(op)
        if debt and self.at(op, self._targets):
            if run.atomic:
                run.ask(owed.op("keep", keep, ((debt[0], True),)))
            else:
                self._pay(run, owed, debt)
        return result

    def _must_pay(self, run: Performer, op: Op, debt: tuple[int, bool]) -> bool:
        index, due = debt
        return self._writes[index].cell is op.cell or (due and not run.atomic)

    def _pay(self, run: Performer, owed: Cell[Any], debt: tuple[int, bool]) -> None:
        run.ask(self._writes[debt[0]])
        run.ask(owed.op("keep", keep, (None,)))

    def finish(self, run: Performer) -> None:
        """Do what is still owed."""
        owed = self._owed.get(run.task_name)
        debt = run.ask(owed.op("recall", recall, ())) if owed else None
        if owed and debt:
            self._pay(run, owed, debt)
