"""Whether a program can come back to where it was, as far as its tables tell.

A cycle of the graph of states takes each task that moves in it back to the local state where it
was, and each cell that changes back to the value that it had. So a table entry that leads out of a
strongly connected component of its task's local states, or changes a cell to a value from where
there is no way back, is on no cycle. Without those entries there are fewer ways back for what is
left, and so on (Kurshan, Levin, Minea, Peled, Yenigün 1998 break the cycles of a product by those
of its parts in the same way). If nothing is left, every run ends.

What is left may still not fit together: a cycle keeps each task within one component of its local
states, and each cell within one of its values; so a fault that is taken because a page is missing,
and a look that finds it there, are on no cycle in which nobody fills or clears the page. So each
component of a task or cell is looked at by itself, then each of the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from ..tables.behaviour import Tables

T = TypeVar("T", bound=Hashable)
Entry = tuple[int, int, int, int, int]
"""A node, its cell (below zero: a choice), value, new value, next node."""

Part = tuple[int, int] | None
"""Whose component an entry lies in, and its number."""

CASES = 2_000
"""So many are looked at before it is left open."""


def has_cycle(tables: Tables) -> bool:
    """Whether some task can come back to a local state; otherwise every run is finite."""
    number = components(tables.edges())
    return any(number[a] == number[b] for a, b in tables.edges())


def may_come_back(tables: Tables) -> bool:
    """Whether the known entries leave open that some run comes back to a state."""
    tasks = [node.task.index for node in tables.nodes]
    cases = [tables.native.entries()]
    for _ in range(CASES):
        if not cases:
            return False
        left, places, values = _closed(cases.pop())
        if not left:
            continue
        further = _divided(left, [_by_task(left, tasks, places), _by_cell(left, values)])
        if not further:
            return True
        cases += further
    return True


def _closed(
    left: list[Entry],
) -> tuple[list[Entry], dict[int, int], dict[tuple[int, int], int]]:
    """The entries that lead back, and the components of nodes and of (cell, value)."""
    while True:
        places = components((node, after) for node, _, _, _, after in left)
        values = components(((c, old), (c, new)) for _, c, old, new, _ in left if c >= 0)
        kept = [
            (node, c, old, new, after)
            for node, c, old, new, after in left
            if places[node] == places[after] and (c < 0 or values[c, old] == values[c, new])
        ]
        if len(kept) == len(left):
            return left, places, values
        left = kept


def _by_task(left: list[Entry], tasks: list[int], places: dict[int, int]) -> list[Part]:
    return [(tasks[node], places[node]) for node, _, _, _, _ in left]


def _by_cell(left: list[Entry], values: dict[tuple[int, int], int]) -> list[Part]:
    return [(c, values[c, old]) if c >= 0 else None for _, c, old, _, _ in left]


def _divided(left: list[Entry], ways: list[list[Part]]) -> list[list[Entry]]:
    """One case for each component of a task or cell that has several; none if there is none."""
    for parts in ways:
        within: dict[int, set[int]] = {}
        for part in parts:
            if part is not None:
                within.setdefault(part[0], set()).add(part[1])
        several = [(len(found), whose) for whose, found in within.items() if len(found) > 1]
        if several:
            _, whose = min(several)
            return [
                [e for e, p in zip(left, parts, strict=True) if not p or p[0] != whose or p[1] == c]
                for c in within[whose]
            ]
    return []


def components(edges: Iterable[tuple[T, T]]) -> dict[T, int]:
    """The number of each node's strongly connected component (Tarjan 1972, without recursion)."""
    after: dict[T, list[T]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
        after.setdefault(b, [])
    low: dict[T, int] = {}
    number: dict[T, int] = {}
    open_: list[T] = []
    for root, first in after.items():
        if root in low:
            continue
        work = [(root, len(low), iter(first))]
        low[root] = len(low)
        open_.append(root)
        while work:
            node, index, rest = work[-1]
            for following in rest:
                if following not in low:
                    work.append((following, len(low), iter(after[following])))
                    low[following] = len(low)
                    open_.append(following)
                    break
                if following not in number:
                    low[node] = min(low[node], low[following])
            else:
                work.pop()
                if work:
                    before = work[-1][0]
                    low[before] = min(low[before], low[node])
                if low[node] == index:
                    _close(node, open_, number)
    return number


def _close(node: T, open_: list[T], number: dict[T, int]) -> None:
    """What lies above ``node`` on the stack is its component."""
    here = len(number)
    while True:
        member = open_.pop()
        number[member] = here
        if member == node:
            return
