"""Predicates over states as memoised decision trees.

An invariant or the judgement of terminal states is plain Python over a ``View``. What it reads,
and in which order, depends only on what it has read so far, so it is a decision tree over cells;
the core walks the tree, and Python runs once per path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..cell import Cell
from ..engines._core import Core
from ..errors import ModelError
from ..operation import Op
from ..runner import Finished, Request
from ..trace import Finding
from ..where import code_place
from .behaviour import Tables
from .orbits import ImageView

T = TypeVar("T")
NOTHING = -2


class StateView:
    """The present state of a search; remembers which slots were asked for."""

    def __init__(self, tables: Tables, core: Core | None = None) -> None:
        self._tables = tables
        self._core = core or tables.core
        self.asked: dict[int, int] = {}

    def _ask(self, slot: int) -> int:
        value = self._core.value(slot)
        return self.asked.setdefault(slot, value)

    def __getitem__(self, cell: Cell[T]) -> T:
        return cell.values[self._ask(cell.index)]

    def node(self, task: int) -> int:
        """The local state of the task with this index."""
        return self._ask(~task)

    def _request(self, task: str) -> Any:
        index = self._tables.program.task_named(task).index
        return self._tables.nodes[self.node(index)].request

    def done(self, task: str) -> bool:
        """Whether the task has returned."""
        return isinstance(self._request(task), Finished)

    def blocked(self) -> list[str]:
        """The tasks that have not returned."""
        return [t.name for t in self._tables.program.tasks if not self.done(t.name)]

    def pending(self, task: str) -> Op | None:
        """The next operation of the task."""
        request = self._request(task)
        return request.op if isinstance(request, Request) else None


Judge = Callable[[StateView | ImageView], Finding | None]


class Trees:
    """The decision trees of a program, kept in memory for the searches, grown on demand."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._native = tables.native
        self._judges: dict[int, Judge] = {}
        self._names: dict[int, str] = {}
        self._edges: dict[tuple[int, int], int] = {}
        self._slots: list[int] = []
        self._roots: dict[int, int] = {}
        self.findings: dict[Finding, int] = {}
        tables.fill_probe = self.fill
        program = tables.program
        self._native.set_terminal(self._add_root("at_end()", program.judge))
        self._native.set_invariants(
            [
                self._add_root(f"invariant {i.name!r}", self._invariant(i.name, i.predicate))
                for i in program.invariants
            ]
        )

    def _add_root(self, name: str, judge: Judge) -> int:
        """A tree starts with a probe of the first task, which a judge need not have asked for."""
        root = self._probe(~0 if self._tables.program.tasks else 0)
        self._judges[root] = judge
        self._names[root] = name
        self._roots[root] = root
        return root

    def _invariant(self, name: str, predicate: Callable[[Any], Any]) -> Judge:
        def judge(view: StateView | ImageView) -> Finding | None:
            answer = predicate(view)
            if any(slot < 0 for slot in view.asked):
                raise ModelError(
                    f"{code_place(predicate)}: invariant {name!r} looks at a task",
                    "let an invariant read cells only; judge tasks in at_end()",
                )
            orbits = self._tables.orbits
            for slot in {c for s in view.asked for c in (orbits.cells(s) if orbits else (s,))}:
                self._native.watch(slot)
                self._tables.discipline.observe(slot)
            if answer is None or answer is True:
                return None
            return Finding("invariant violation", name if answer is False else f"{name}: {answer}")

        return judge

    def _probe(self, slot: int) -> int:
        self._slots.append(slot)
        return self._native.add_probe(slot)

    def fill(self, core: Core, probe: int, _value: int) -> None:
        """The walk from some root stopped at ``probe``: run the predicate on the core's state."""
        root = self._roots[probe]
        view = StateView(self._tables, core)
        found = self._judges[root](view)
        orbits = self._tables.orbits
        if orbits is not None:
            for p in orbits.group.members[1:]:
                image = ImageView(self._tables, orbits, view, p)
                orbits.check_finding(self._names[root], found, self._judges[root](image))
        first = self._slots[root]
        path = [first, *(s for s in view.asked if s != first)]
        self._grow(core, root, path, found)
        if self._tables.discipline.settle():
            self._native.withdraw()

    def _grow(self, core: Core, root: int, path: list[int], found: Finding | None) -> None:
        at = root
        for slot, following in zip(path, [*path[1:], None], strict=True):
            value = core.value(slot)
            if following is None:
                self._native.set_probe(at, value, self._leaf(found))
                return
            key = (at, value)
            child = self._edges.get(key)
            if child is None:
                child = self._edges[key] = self._probe(following)
                self._roots[child] = root
                self._native.set_probe(at, value, child)
            at = child

    def number(self, found: Finding) -> int:
        """The number of a finding of a predicate."""
        number = self.findings.get(found)
        if number is None:
            self._tables.findings.append(found)
            number = self.findings[found] = len(self._tables.findings) - 1
        return number

    def _leaf(self, found: Finding | None) -> int:
        return NOTHING if found is None else -(self.number(found) + 3)
