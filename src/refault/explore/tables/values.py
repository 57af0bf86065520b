"""Which values a cell can have: what the tests of commutation must cover, and no more.

Two operations that commute at every value that their cell can have may change places. Trying each
operation at each value again and again, as if every task could repeat any of its operations, finds
too many values: a reference count that every task takes and drops would count up to its limit,
where one more is an error, and so nothing would commute with anything. So the order in which each
task comes to its operations on the cell is kept. All else is forgotten: a task may take any way
through its table that is known. What is left, the value of the one cell and, per task, which of
its operations on that cell may come next, is a small state space that is searched in full.

That covers every value in every interleaving whose steps are known to the tables, explored or not:
whatever happens to the cell in it is a run of the small state space.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..operation import Done, typed
from ..runner import Request
from .behaviour import Tables

STATES, VALUES = 5_000, 256
"""So many states of one cell at most, and so many values."""

Heads = tuple[int, ...]
"""Per task a bit mask of the operations on the cell that may be its next one there."""


class Values:
    """The values that cells can have, as far as the tables know now."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._before: list[list[int]] = [[] for _ in tables.nodes]
        for source, target in tables.edges():
            self._before[target].append(source)

    def of(self, cell: int) -> frozenset[int] | None:
        """The ids of the values that ``cell`` can have; ``None`` where that is too much to tell."""
        signatures = self._tables.discipline.on(cell)
        nodes = [node for sig in signatures for node in sig.nodes]
        heads = self._heads(nodes)
        tasks = sorted({sig.task.index for sig in signatures})
        first = (0, tuple(heads[self._tables.starts[t]] for t in tasks))
        seen, todo = {first}, [first]
        values: set[int] = set()
        for value, at in todo:
            for i, mask in enumerate(at):
                for node in _chosen(nodes, mask):
                    step = _step(self._tables, node, value)
                    if step is None:
                        continue
                    state = (step[0], (*at[:i], heads[step[1]], *at[i + 1 :]))
                    if state not in seen:
                        seen.add(state)
                        todo.append(state)
            values.add(value)
            if len(seen) > STATES or len(values) > VALUES:
                return None
        return frozenset(values)

    def _heads(self, nodes: list[int]) -> list[int]:
        """For each local state, which of ``nodes`` may be the first of them from there on."""
        heads = [0] * len(self._tables.nodes)
        for i, node in enumerate(nodes):
            heads[node] = 1 << i
        work, own = list(nodes), set(nodes)
        while work:
            node = work.pop()
            for source in self._before[node]:
                if source not in own and heads[node] | heads[source] != heads[source]:
                    heads[source] |= heads[node]
                    work.append(source)
        return heads


def _chosen(nodes: list[int], mask: int) -> Iterator[int]:
    """Those of ``nodes`` that are in ``mask``."""
    while mask:
        lowest = mask & -mask
        mask ^= lowest
        yield nodes[lowest.bit_length() - 1]


def _step(tables: Tables, node: int, value: int) -> tuple[int, int] | None:
    """The new value and the local state after the operation of ``node``, if that is known."""
    known = tables.steps.get((node, value))
    if known is None:
        request = tables.nodes[node].request
        op = request.op if isinstance(request, Request) else None
        outcome = op and op.outcome(value)
        if isinstance(outcome, Done):
            after = tables.successors.get((node, typed(outcome.result)))
            if after is not None:
                known = tables.steps[node, value] = (outcome.new, after)
    return known
