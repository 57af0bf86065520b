"""What each task may still do: the second, stronger form of the learned reduction.

The discipline compares an operation with everything that other tasks do anywhere. But where a
task stands, much of what it does lies behind it: a fault that has been handled, a monitor past
its last message. The behaviour tables tell what may still come: the operations at the local
states reachable from the present one. In a state where some task's next step commutes with, or
is excluded by locks from, all that the *futures* of the other tasks hold, that step alone is
explored.

Futures are read off the tables as they are when a search begins, and tables grow. So when the
search is complete they are taken again, and if they are not the same, it begins again with the
new ones: the last search used futures that hold every local state and every edge that it met.
Local states that were not known when it began count as able to do anything; the plain discipline
still serves them. It pays where a search takes long enough for its tables to be nearly complete;
the portfolio tries the plain discipline first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .behaviour import Tables

NEVER = -1
"""The signature of a local state without an operation on a cell."""


class Futures(NamedTuple):
    """Per local state its signature and what may still come, per signature what it conflicts with.

    The last two are bit masks over signatures, of ``words`` 64-bit words each, one behind the
    other.
    """

    words: int
    signature: tuple[int, ...]
    future: bytes
    conflicts: bytes


def take(tables: Tables) -> Futures:
    """The futures of all local states known now."""
    signatures = tables.discipline.signatures
    of_node = [NEVER] * len(tables.nodes)
    for sig in signatures:
        for node in sig.nodes:
            of_node[node] = sig.index
    words = max(1, -(-len(signatures) // 64))

    def packed(masks: Iterable[int]) -> bytes:
        return b"".join(m.to_bytes(8 * words, "little") for m in masks)

    conflicts = packed(tables.discipline.conflicts(sig) for sig in signatures)
    return Futures(words, tuple(of_node), packed(_reach(tables, of_node)), conflicts)


def _reach(tables: Tables, of_node: list[int]) -> list[int]:
    """For each local state the signatures at it and at all that can come after it."""
    before: list[list[int]] = [[] for _ in tables.nodes]
    for source, target in tables.edges():
        before[target].append(source)
    future = [1 << s if s != NEVER else 0 for s in of_node]
    work = [n for n, mask in enumerate(future) if mask]
    while work:
        node = work.pop()
        for source in before[node]:
            if future[node] | future[source] != future[source]:
                future[source] |= future[node]
                work.append(source)
    return future
