"""What tables in different processes tell each other.

Numbers of local states and values are those of one process; their keys mean the same everywhere
(see ``keys``). So what one process has filled is told as keys, in the order in which it was filled,
and another fills the same: each local state and each value was made by something filled before.

For the reduction the tables of all must agree on more. An operation that one process takes for
solo may meet, in what another has seen, one that it does not commute with. So each says what it
took for solo, and which cells invariants have read.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..runner import Request
from .behaviour import Tables

Record = tuple[int, int]
"""The key of a local state; the key of the cell's value there, or the number of a choice."""


class Exchange:
    """Tells others what the tables of this process have learned, and learns from them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._told = 0
        self._nodes: dict[int, int] = {}

    def skip(self) -> None:
        """What is known now others know already."""
        self._told = len(self._tables.log)

    def news(self) -> list[Record]:
        """What was filled since the last call."""
        new = self._tables.log[self._told :]
        self.skip()
        return [self._record(node, value) for node, value in new]

    def _record(self, node: int, value: int) -> Record:
        request = self._tables.nodes[node].request
        assert isinstance(request, Request)
        what = value if request.op is None else request.op.cell.key(value)
        return self._tables.key_of(node), what

    def adopt(self, records: Iterable[Record], observed: Iterable[int]) -> None:
        """Fill what others have filled."""
        tables = self._tables
        for key, what in records:
            node = self._node(key)
            request = tables.nodes[node].request
            assert isinstance(request, Request)
            value = what if request.op is None else request.op.cell.value_with(what)
            if not tables.native.knows(node, value):
                tables.fill(node, value)
        for cell in observed:
            tables.discipline.observe(cell)
        if tables.discipline.settle():
            tables.native.withdraw()

    def _node(self, key: int) -> int:
        for node in range(len(self._nodes), len(self._tables.nodes)):
            self._nodes[self._tables.key_of(node)] = node
        return self._nodes[key]

    def solo(self) -> frozenset[int]:
        """The keys of local states whose operation commutes with what others may do meanwhile."""
        signatures = self._tables.discipline.signatures
        return frozenset(
            self._tables.key_of(node) for sig in signatures if sig.solo for node in sig.nodes
        )

    def observed(self) -> frozenset[int]:
        """The cells that invariants have read."""
        return frozenset(self._tables.discipline.observed)
