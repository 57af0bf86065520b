"""What each task may still do: the second, stronger form of the learned reduction.

The discipline compares an operation with everything that other tasks do anywhere, at every value.
But where a task stands, much of what it does lies behind it: a fault that has been handled, a
monitor past its last message. The behaviour tables tell what may still come: the operations at
the local states reachable from the present one. In a state where some task's next step does not
conflict with anything that the *futures* of the other tasks hold, that step alone is explored.
What conflicts depends on the present value of the cell; see ``conflicts``.

*Sets of several tasks.* Often no task is that free, but some are together: two that fight for a
lock, while a third is busy elsewhere. A set of tasks may be explored alone if

* no next step of a member that can be done conflicts with what the future of a task outside
  holds;
* a member that is blocked stays so whatever the tasks outside do: none of their futures holds an
  operation that changes the value at which it is blocked.

So from each task in turn, those tasks are added, again and again, whose futures stand in the way,
and the set with the fewest steps is taken. Where only one member can take a step, that is as if it
were alone. In the field's terms: the next steps of the members are a stubborn set (Valmari), of the
strong kind, so all terminal states are found; for the rest see the cycle proviso in
``engines/_core.pyx``.

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
from .conflicts import Conflicts, gather

TAKEN = (-1, 0)
"""In the log of a table: the futures were taken here, which may have found new values of cells."""

NEVER = -1
"""The signature of a local state without an operation on a cell."""


class Futures(NamedTuple):
    """Per local state its signature and what may still come, as bit masks over signatures.

    ``conflicts`` as ``gather`` made them.
    """

    signature: list[int]
    future: list[int]
    conflicts: Conflicts

    def hold(self, now: Futures) -> bool:
        """Whether what is said here is true still, as far as is known ``now``.

        What is not said counts as the worst, so it may have grown.
        """
        future = zip(self.future, now.future, strict=False)
        return not any(after & ~before for before, after in future) and all(
            value in after and not after[value] & ~mask
            for old, new in zip(self.conflicts, now.conflicts, strict=True)
            for before, after in zip(old, new, strict=False)
            for value, mask in before.items()
        )

    def packed(self) -> tuple[int, list[int], bytes, list[int], list[int], list[int], bytes]:
        """The arguments of ``Behaviour.set_futures``.

        The masks, words of 64 bits, one behind the other, equal ones once, the empty one first; of
        each row where it begins, how long it is, and the numbers of its masks.
        """
        words = max(1, -(-len(self.conflicts.overtakes) // 64))
        masks: dict[int, int] = {0: 0}
        first: list[int] = []
        count: list[int] = []
        numbers: list[int] = []
        for row in (*self.conflicts.overtakes, *self.conflicts.changes):
            first.append(len(numbers))
            count.append(max(row, default=-1) + 1)
            numbers += [
                masks.setdefault(row[v], len(masks)) if v in row else -1 for v in range(count[-1])
            ]

        def joined(some: Iterable[int]) -> bytes:
            return b"".join(m.to_bytes(8 * words, "little") for m in some)

        return words, self.signature, joined(self.future), first, count, numbers, joined(masks)


def take(tables: Tables) -> Futures:
    """The futures of all local states known now."""
    tables.log.append(TAKEN)
    conflicts = gather(tables)
    of_node = [NEVER] * len(tables.nodes)
    for sig in tables.discipline.signatures:
        for node in sig.nodes:
            of_node[node] = sig.index
    return Futures(of_node, _reach(tables, of_node), conflicts)


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
