"""Identical tasks: which permutations of a program's tasks, cells and names leave it the same.

A program says with ``Program.identical`` that some of its tasks may change places. A permutation of
them moves the cells that belong to each, and renames what stands for a task in values: the holder
of a lock, an entry of a queue.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Mapping
from math import factorial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from .cell import Cell
    from .program import Program, Task

MOST = 120
"""So many permutations at most; of larger groups a part is permuted."""

Names = Mapping[Hashable, Hashable]


class Identical(NamedTuple):
    """Tasks that may change places, each with the cells and names that go with it."""

    tasks: tuple[Task, ...]
    cells: tuple[tuple[Cell[Any], ...], ...]
    names: tuple[tuple[Hashable, ...], ...]


class Permutation(NamedTuple):
    """Where each task and each cell goes, by index, and what each name becomes."""

    tasks: tuple[int, ...]
    cells: tuple[int, ...]
    names: Names

    def then(self, other: Permutation) -> Permutation:
        """First the one, then the other."""
        return Permutation(
            tuple(other.tasks[t] for t in self.tasks),
            tuple(other.cells[c] for c in self.cells),
            {name: other.names[to] for name, to in self.names.items()},
        )


def blocks(groups: list[Identical]) -> list[tuple[Identical, range]]:
    """The parts of the groups that are permuted: as much as makes ``MOST`` permutations."""
    left, found = MOST, []
    for group in groups:
        size = len(group.tasks)
        while factorial(size) > left:
            size -= 1
        left //= factorial(size)
        if size > 1:
            found.append((group, range(size)))
    return found


class Group(NamedTuple):
    """All permutations, that of nothing first, and a few that make all others.

    For each but the first ``ways`` has (number of a permutation, number of a generator): it is the
    former and then the latter.
    """

    members: list[Permutation]
    ways: list[tuple[int, int]]
    generators: list[Permutation]


def group_of(program: Program) -> Group:
    """The permutations of a program's identical tasks; generators exchange two neighbours."""
    parts = blocks(program.groups)
    still = [tuple(part) for _, part in parts]
    group = Group([_permutation(program, parts, tuple(still))], [], [])
    for i, (_, part) in enumerate(parts):
        for a in part[:-1]:
            way = list(part)
            way[a], way[a + 1] = a + 1, a
            moved = (*still[:i], tuple(way), *still[i + 1 :])
            group.generators.append(_permutation(program, parts, moved))
    seen = {group.members[0].tasks}
    for number, p in enumerate(group.members):
        for i, g in enumerate(group.generators):
            both = p.then(g)
            if both.tasks not in seen:
                seen.add(both.tasks)
                group.members.append(both)
                group.ways.append((number, i))
    return group


def _permutation(
    program: Program, parts: list[tuple[Identical, range]], way: tuple[tuple[int, ...], ...]
) -> Permutation:
    tasks = list(range(len(program.tasks)))
    cells = list(range(len(program.cells)))
    names: dict[Hashable, Hashable] = {}
    for (group, part), to in zip(parts, way, strict=True):
        for a, b in zip(part, to, strict=True):
            tasks[group.tasks[a].index] = group.tasks[b].index
            for mine, yours in zip(group.cells[a], group.cells[b], strict=True):
                cells[mine.index] = yours.index
            names.update(zip(group.names[a], group.names[b], strict=True))
    return Permutation(tuple(tasks), tuple(cells), names)


def described(program: Program) -> str:
    """The tasks that are permuted, as text."""
    parts = [" ".join(group.tasks[i].name for i in part) for group, part in blocks(program.groups)]
    return " and ".join(parts)


def renamed(value: Any, names: Names) -> Any:
    """The value with other names in it.

    Looks into tuples, frozen sets and frozen dataclasses. A value that says in another way whom it
    means, or that keeps names in order, has a method ``renamed(names)`` of its own.
    """
    own = getattr(value, "renamed", None)
    if own is not None and not isinstance(value, type):
        return own(names)
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, tuple):
        parts = [renamed(v, names) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, frozenset):
        return frozenset(renamed(v, names) for v in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **dict(_fields(value, names)))
    return value


N = TypeVar("N", bound=tuple[Any, ...])


def renamed_in_order(value: N, names: Names, *fields: str) -> N:
    """A named tuple with other names in it; those ``fields`` list names in alphabetical order."""
    parts = {name: renamed(part, names) for name, part in value._asdict().items()}  # type: ignore[attr-defined]
    parts |= {name: tuple(sorted(parts[name])) for name in fields}
    return value._replace(**parts)  # type: ignore[attr-defined, no-any-return]


def _fields(value: Any, names: Names) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        if field.init:
            yield field.name, renamed(getattr(value, field.name), names)
