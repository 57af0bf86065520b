"""What an operation must not overtake, given the present value of its cell.

An operation ``a`` of one task may be done first, in place of everything that the other tasks do, if
none of what they may still do *conflicts* with it where the cell now has the value v. The others
change the value meanwhile. So an operation ``b`` of another task conflicts with ``a`` at v if the
two do not commute at some w that the others can make of v without doing anything that conflicts.
Where ``a`` adds one to a count and the others test it for zero, they conflict at 0 and at 1, not at
a count that the others' own operations keep above.

Values that the cell cannot have (``values``) are not tested. Operations that the locks held at
them keep apart from ``a`` do not count: ``a``'s task does not move before ``a``, so what it holds
it goes on holding.

*Changes*: an operation that is blocked at v stays so until somebody makes another value of it. So
for each value the operations that would are listed too: a set of tasks that is explored alone
and has a blocked one among it must hold whoever may change what that one waits for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from ..operation import Done, Op
from .behaviour import Tables
from .discipline import Signature, commute_at
from .values import Values

UNKNOWN = -1
"""In place of a mask: the search has not done this operation at this value yet."""

SPREAD = 16
"""Where the values of a cell cannot be told, no more than so many are tried from one of them."""


class Conflicts(NamedTuple):
    """Bit masks over signatures, by value.

    ``overtakes`` says for each signature what it conflicts with, ``changes`` for each cell what
    would change the value. Of values at which the search has not met the operation, nothing.
    """

    overtakes: list[Mapping[int, int]]
    changes: list[Mapping[int, int]]


class _Cell:
    """The operations on one cell, and how they get into each other's way."""

    def __init__(self, tables: Tables, cell: int, values: Values) -> None:
        self._discipline = tables.discipline
        self._signatures = tables.discipline.on(cell)
        self._ops = {s.op.index: s.op for s in self._signatures}
        self._possible: frozenset[int] | None = None
        self._known: dict[tuple[int, int, frozenset[tuple[int, int]]], int] = {}
        self._apart: dict[tuple[int, int, int], bool] = {}
        if not all(s.solo for s in self._signatures):
            self._possible = values.of(cell)

    def conflicts(self, sig: Signature, met: set[int]) -> Mapping[int, int]:
        """What ``sig`` must not overtake at each of the values ``met``."""
        if sig.solo:
            return dict.fromkeys(met, 0)
        if self._discipline.is_observed(sig):
            return {}
        rivals: dict[int, int] = defaultdict(int)
        for other in self._discipline.rivals(sig):
            rivals[other.op.index] |= 1 << other.index
        key = frozenset(rivals.items())
        found = {}
        for value in met:
            whole = (sig.op.index, value, key)
            if whole not in self._known:
                self._known[whole] = self._overtaken(sig.op, rivals, value)
            if self._known[whole] != UNKNOWN:
                found[value] = self._known[whole]
        return found

    def _overtaken(self, a: Op, rivals: Mapping[int, int], value: int) -> int:
        """The bits of the rivals that conflict with ``a`` at ``value``."""
        bits, seen, todo = 0, {value}, [value]
        free = dict(rivals)
        for at in todo:
            for b in [b for b in free if self._are_apart(a, self._ops[b], at)]:
                bits |= free.pop(b)
            for b in free:
                outcome = self._ops[b].outcome(at)
                new = outcome.new if isinstance(outcome, Done) else at
                if new not in seen and (self._possible is None or new in self._possible):
                    seen.add(new)
                    todo.append(new)
            if self._possible is None and len(seen) > SPREAD:
                return UNKNOWN
        return bits

    def _are_apart(self, a: Op, b: Op, value: int) -> bool:
        key = (a.index, b.index, value)
        if key not in self._apart:
            self._apart[key] = not commute_at(a, b, value)
        return self._apart[key]

    def changes(self, met: set[int]) -> Mapping[int, int]:
        """Who would change the value, for each of the values ``met``."""
        return {v: sum(1 << s.index for s in self._signatures if _changes(s.op, v)) for v in met}


def gather(tables: Tables) -> Conflicts:
    """All conflicts, as far as the tables know now."""
    values = Values(tables)
    cells = [_Cell(tables, c, values) for c in range(len(tables.program.cells))]
    met: dict[int, set[int]] = defaultdict(set)
    for node, value in tables.log:
        met[node].add(value)
    overtakes = []
    blocked: list[set[int]] = [set() for _ in cells]
    for sig in tables.discipline.signatures:
        cell = sig.op.cell.index
        here = {v for node in sig.nodes for v in met.get(node, ())}
        blocked[cell] |= {v for v in here if sig.op.outcome(v) is None}
        overtakes.append(cells[cell].conflicts(sig, here))
    changes = [cell.changes(at) for cell, at in zip(cells, blocked, strict=True)]
    return Conflicts(overtakes, changes)


def _changes(op: Op, value: int) -> bool:
    outcome = op.outcome(value)
    return isinstance(outcome, Done) and outcome.new != value
