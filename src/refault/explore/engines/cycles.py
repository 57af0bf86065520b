"""Whether a program can come back to where it was, as far as its tables tell.

A cycle of the graph of states takes each task that moves in it back to the local state where it
was, and each cell that changes back to the value that it had. So a table entry that leads out of a
strongly connected component of its task's local states, or changes a cell to a value from where
there is no way back, is on no cycle. Without those entries there are fewer ways back for what is
left, and so on (Kurshan, Levin, Minea, Peled, Yenigün 1998 break the cycles of a product by those
of its parts in the same way). If nothing is left, every run ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from ..tables.behaviour import Tables

T = TypeVar("T", bound=Hashable)


def has_cycle(tables: Tables) -> bool:
    """Whether some task can come back to a local state; otherwise every run is finite."""
    number = components(tables.edges())
    return any(number[a] == number[b] for a, b in tables.edges())


def may_come_back(tables: Tables) -> bool:
    """Whether the known entries leave open that some run comes back to a state."""
    left = tables.native.entries()
    while left:
        places = components((node, after) for node, _, _, _, after in left)
        values = components(((c, old), (c, new)) for _, c, old, new, _ in left if c >= 0)
        kept = [
            (node, c, old, new, after)
            for node, c, old, new, after in left
            if places[node] == places[after] and (c < 0 or values[c, old] == values[c, new])
        ]
        if len(kept) == len(left):
            return True
        left = kept
    return False


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
