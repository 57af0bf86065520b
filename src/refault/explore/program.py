"""A closed concurrent program: cells, tasks, and what must hold."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from .cell import Cell, Holders
from .errors import ModelError
from .operation import Op
from .runtime import driver
from .symmetry import Identical
from .trace import Finding
from .where import caller_place, code_place, is_generator

T = TypeVar("T")


class View(Protocol):
    """A state, as predicates see it."""

    def __getitem__(self, cell: Cell[T], /) -> T:
        """The value of a cell."""

    def done(self, task: str, /) -> bool:
        """Whether the task has returned."""

    def blocked(self) -> list[str]:
        """The tasks that have not returned, in order of their creation."""

    def pending(self, task: str, /) -> Op | None:
        """The operation that the task would do next; ``None`` if it has returned."""


class Performer(Protocol):
    """A running task, to whoever stands between it and its operations."""

    task_name: str
    atomic: int

    def ask(self, op: Op, /) -> Any:
        """Do one operation as it is."""


class Mutator(Protocol):
    """What stands between the tasks and their operations while a mutation is tried out.

    It must be as deterministic as a task, and keep what it remembers in cells as tasks do.
    """

    def perform(self, run: Performer, op: Op, /) -> Any:
        """Do ``op`` for a task, or something else in its place."""

    def splits(self, run: Performer, /) -> bool:
        """Whether the atomic block that is about to begin is to be none."""

    def finish(self, run: Performer, /) -> None:
        """A task has returned."""


@dataclass(frozen=True, eq=False)
class Task:
    """A task runs ``fn(*args)``; a daemon may be left waiting at the end."""

    index: int
    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    daemon: bool


class Invariant(NamedTuple):
    """What must hold in every state; the predicate returns ``None`` or what is wrong."""

    name: str
    predicate: Callable[[View], Any]


AtEnd = Callable[[View], Finding | None]
Remarks = Callable[[View], tuple[str, ...]]


class Program:
    """Cells, tasks, invariants and the judgement of terminal states.

    Built by a function ``build(program)``; a build must be repeatable, for replay builds anew.
    ``context`` is free for the layers above; ``mutation`` is what ``mutate`` puts in.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.cells: list[Cell[Any]] = []
        self.tasks: list[Task] = []
        self.invariants: list[Invariant] = []
        self.context: dict[str, Any] = {}
        self.mutation: Mutator | None = None
        self.declared: list[str] = []
        self.reached: set[str] = set()
        self.groups: list[Identical] = []
        self._names: set[str] = set()
        self._at_end: AtEnd | None = None
        self._remarks: Remarks | None = None
        self._ops = 0

    def _unique(self, name: str) -> str:
        if name in self._names:
            raise ModelError(
                f"two cells or tasks are called {name!r}", "give each a name of its own"
            )
        self._names.add(name)
        return name

    def cell(self, name: str, initial: T, *, holders: Holders | None = None) -> Cell[T]:
        """Add a shared variable; see ``Cell``."""
        cell = Cell(self, len(self.cells), self._unique(name), initial, holders)
        self.cells.append(cell)
        return cell

    def task(self, name: str, fn: Callable[..., Any], *args: Any, daemon: bool = False) -> Task:
        """Add a task that runs ``fn(*args)``."""
        if is_generator(fn):
            raise ModelError(
                f"{code_place(fn)}: task {name!r} is a generator or coroutine",
                "write a task as a plain function",
            )
        task = Task(len(self.tasks), self._unique(name), fn, args, daemon)
        self.tasks.append(task)
        return task

    def identical(
        self,
        *tasks: Task,
        own: Sequence[Sequence[Cell[Any]]] = (),
        names: Sequence[Sequence[Hashable]] = (),
    ) -> None:
        """Declare that these tasks may change places: that they are one program, run several times.

        The search then takes states for one that differ in who is who. With a task go the cells
        that are named ``<task>.<something>``, and those that ``own`` lists for it, in the same
        order for all; in values its name stands for it, and what else ``names`` lists for it. A
        value that says it in another way has a method ``renamed(names)``. The declaration is
        checked: what is not symmetric is a ``ModelError``.
        """
        cells = own or [()] * len(tasks)
        others = names or [()] * len(tasks)
        if not len(tasks) == len(cells) == len(others) or len(tasks) < 2:
            raise ModelError(
                f"{caller_place()}: identical() takes two tasks or more, and cells and names for "
                "each of them",
                "identical(a, b, own=[[cell of a], [cell of b]])",
            )
        if len({t.daemon for t in tasks}) > 1 or {*tasks} & {
            t for g in self.groups for t in g.tasks
        }:
            raise ModelError(
                f"{caller_place()}: identical tasks are all daemons or none is, and are declared "
                "once",
                "one call for each group of tasks that may change places",
            )
        self.groups.append(
            Identical(
                tuple(tasks),
                tuple(self._cells_of(t, c) for t, c in zip(tasks, cells, strict=True)),
                tuple((t.name, *n) for t, n in zip(tasks, others, strict=True)),
            )
        )
        if len({(len(c), len(n)) for _, c, n in zip(*self.groups[-1], strict=True)}) > 1:
            raise ModelError(
                f"{caller_place()}: identical tasks have as many cells and names, each of them",
                "declare them when all cells are there, those in own= in the same order",
            )

    def _cells_of(self, task: Task, own: Sequence[Cell[Any]]) -> tuple[Cell[Any], ...]:
        prefix = f"{task.name}."
        named = sorted((c for c in self.cells if c.name.startswith(prefix)), key=lambda c: c.name)
        return (*named, *own)

    def invariant(self, name: str, predicate: Callable[[View], Any]) -> None:
        """State what must hold in every state.

        The predicate may read cells only. It returns ``None`` or ``True`` where the invariant
        holds, ``False`` or a message where it does not.
        """
        self.invariants.append(Invariant(name, predicate))

    def possible(self, name: str) -> Callable[[], None]:
        """Declare that something can happen; returns what a task calls where it does.

        A check in which it never happens is *vacuous*, however well all else holds.
        """
        self.declared.append(name)

        def reached() -> None:
            driver().reach(name)

        return reached

    def at_end(self, judge: AtEnd) -> None:
        """Give the judgement of terminal states, in place of "nobody but daemons may be left"."""
        self._at_end = judge

    def when_endless(self, remarks: Remarks) -> None:
        """Say what to add to the finding that tasks run for ever, told of a state on the way."""
        self._remarks = remarks

    def remarks(self, view: View) -> tuple[str, ...]:
        """What there is to say of a state that endless runs come back to."""
        return () if self._remarks is None else self._remarks(view)

    def judge(self, view: View) -> Finding | None:
        """The finding of a terminal state, if any."""
        if self._at_end is not None:
            return self._at_end(view)
        left = [n for n in view.blocked() if not self.task_named(n).daemon]
        if not left:
            return None
        waits = tuple(f"{n} waits at {view.pending(n)}" for n in left)
        verb = "waits" if len(left) == 1 else "wait"
        return Finding("deadlock", f"{', '.join(left)} {verb} for ever", waits)

    def task_named(self, name: str) -> Task:
        """The task called ``name``."""
        return next(t for t in self.tasks if t.name == name)

    def next_op(self) -> int:
        """A fresh number for an operation."""
        self._ops += 1
        return self._ops - 1
