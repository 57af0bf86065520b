"""The learned lock discipline: which operations may be explored alone.

In a state where some task's next operation *commutes with everything that the other tasks may do
before it*, it suffices to explore that operation: {operation} is a persistent set. This module
learns from the behaviour tables which operations are of that kind. An operation ``a`` of task t
at local state n, on cell c, is *solo* if for every known local state m of every other task that
operates on c by ``b`` one of these holds:

* *exclusion*: the locks held at n and at m conflict, so the two are never both next;
* *commutation*: for every known value v of c at which ``a`` can be done, either ``b`` is blocked
  at v,
  or both orders are possible from v and give the same value and the same two results.

That covers, with no case of its own, cells that only one task uses, cells that are only read,
cells always accessed under one lock (Eraser's locksets, pairwise), and releases of a lock, which
commute with acquisitions because those are blocked. An acquisition is never solo while another
task may want the lock, so lock order deadlocks stay. ``trylock``, ``is_locked`` and lockless
peeks do not commute, and by that alone break the assumption for the operations that they race
with.

**Known** means: seen so far. Values are closed under the other tasks' operations before the test
(an unexplored order of others must not produce a value that was never tested). A new local state
or a new value may break an assumption; then it is dropped for good, and if a search relied on it
the search starts again, tables kept. At its end no assumption that it used was broken.

Who holds a lock is read off the values of lock cells (``Cell.holders``), not declared by the
operations: an operation after which its task is among the holders was an acquisition. If an
operation of one task takes a lock away from another, or the answer depends on more than the
result, the cell is no longer trusted as a lock; that is asked of every known operation at every
known value, for a reduction that believes in the lock would not try the case. An operation that
changes a cell read by an invariant is never solo, for the order of two changes to what is
observed matters.

The cycle proviso is the search's: see ``engines/_core.pyx``, ``enter``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..cell import Mode
from ..engines._behaviour import Behaviour
from ..operation import Crashed, Done, Failed, Op, Outcome
from ..program import Program, Task

Held = frozenset[tuple[int, Mode]]
MAX_VALUES = 512


class Signature:
    """All local states of one task that do ``op`` while holding ``held``."""

    __slots__ = ("held", "index", "nodes", "op", "probed", "solo", "task")

    def __init__(self, index: int, task: Task, op: Op, held: Held) -> None:
        self.index = index
        self.task = task
        self.op = op
        self.held = held
        self.nodes: list[int] = []
        self.solo = True
        self.probed = 0


class Discipline:
    """Learns which local states are solo and tells the searches."""

    def __init__(self, program: Program, native: Behaviour) -> None:
        self._program = program
        self._native = native
        self._signatures: dict[tuple[int, int, Held], Signature] = {}
        self._by_cell: dict[int, list[Signature]] = defaultdict(list)
        self._distrusted: set[int] = set()
        self._observed: set[int] = set()
        self._commuting: dict[tuple[int, int], int] = {}
        self._tested: dict[int, tuple[int, int]] = {}
        self._dirty: set[int] = set()

    def observe(self, cell: int) -> None:
        """An invariant reads ``cell``: operations that change it are never solo."""
        self._observed.add(cell)
        self._dirty.add(cell)

    def add(self, node: int, task: Task, op: Op, held: Held) -> None:
        """Take note of a new local state."""
        key = (task.index, op.index, held)
        sig = self._signatures.get(key)
        if sig is None:
            sig = self._signatures[key] = Signature(len(self._signatures), task, op, held)
            self._by_cell[op.cell.index].append(sig)
            self._dirty.add(op.cell.index)
        sig.nodes.append(node)
        self._native.set_solo(node, sig.solo)

    def held_after(self, task: Task, held: Held, op: Op, old: int, new: int) -> Held:
        """The locks that ``task`` holds after ``op`` changed its cell from ``old`` to ``new``."""
        cell = op.cell
        if old != new:
            self._dirty.add(cell.index)
        if cell.holders is None or old == new:
            return held
        before = dict(cell.holders(cell.values[old]))
        after = dict(cell.holders(cell.values[new]))
        self._check_lock(cell.index, task.name, before, after)
        mine = after.get(task.name)
        others = {h for h in held if h[0] != cell.index}
        return frozenset(others | {(cell.index, mine)}) if mine else frozenset(others)

    def _check_lock(
        self, cell: int, task: str, before: dict[str, Mode], after: dict[str, Mode]
    ) -> None:
        taken_away = any(t != task and after.get(t) != m for t, m in before.items())
        if taken_away or (len(after) > 1 and "x" in after.values()):
            self._distrust(cell)

    def _probe_lock(self, cell: int) -> None:
        """Ask of every known operation at every known value whether it breaks the lock.

        The search may never do it there, for the very reason that the lock is believed in.
        """
        values = self._program.cells[cell].values
        holders = self._program.cells[cell].holders
        if holders is None or cell in self._distrusted:
            return
        for sig in self._by_cell[cell]:
            mine = next((mode for c, mode in sig.held if c == cell), None)
            for value in range(sig.probed, min(len(values), MAX_VALUES)):
                before = dict(holders(values[value]))
                outcome = sig.op.outcome(value) if before.get(sig.task.name) == mine else None
                if isinstance(outcome, Done):
                    after = dict(holders(values[outcome.new]))
                    self._check_lock(cell, sig.task.name, before, after)
            sig.probed = min(len(values), MAX_VALUES)

    def reconcile(self, first: Held, second: Held) -> None:
        """One history, two answers to what is held: trust none of the locks they differ on."""
        for cell, _mode in first ^ second:
            self._distrust(cell)

    def _distrust(self, cell: int) -> None:
        if cell not in self._distrusted:
            self._distrusted.add(cell)
            self._dirty.update(self._by_cell)

    def settle(self) -> bool:
        """Re-examine what changed; tell whether an assumption was dropped."""
        dropped = False
        while self._dirty:
            dropped |= self._examine(self._dirty.pop())
        return dropped

    def _examine(self, cell: int) -> bool:
        self._probe_lock(cell)
        signatures = self._by_cell[cell]
        values = self._program.cells[cell].values
        stamp = (len(signatures), len(values))
        if self._tested.get(cell) == stamp and not self._distrusted and cell not in self._observed:
            return False
        dropped = False
        for sig in signatures:
            if sig.solo and not self._is_solo(sig):
                sig.solo = False
                dropped = True
                for node in sig.nodes:
                    self._native.set_solo(node, False)
        self._tested[cell] = stamp
        return dropped

    def _is_solo(self, sig: Signature) -> bool:
        if self.is_observed(sig):
            return False
        ops = list({other.op.index: other.op for other in self.rivals(sig)}.values())
        return self._close(ops) and all(self._commute(sig.op, op) for op in ops)

    @property
    def observed(self) -> set[int]:
        """The cells that invariants have read."""
        return self._observed

    @property
    def signatures(self) -> list[Signature]:
        """All signatures, by their index."""
        return list(self._signatures.values())

    def on(self, cell: int) -> list[Signature]:
        """The signatures that operate on ``cell``."""
        return self._by_cell[cell]

    def rivals(self, sig: Signature) -> list[Signature]:
        """Those of other tasks on the same cell that no lock keeps apart from ``sig``."""
        return [
            other
            for other in self._by_cell[sig.op.cell.index]
            if other.task is not sig.task and not self._exclude(sig.held, other.held)
        ]

    def is_observed(self, sig: Signature) -> bool:
        """Whether ``sig`` may change what an invariant reads."""
        return sig.op.cell.index in self._observed and not self._only_reads(sig.op)

    def closed(self, cell: int) -> bool:
        """Close the known values of ``cell`` under its operations; false if there are too many."""
        return self._close([sig.op for sig in self._by_cell[cell]])

    def _exclude(self, mine: Held, theirs: Held) -> bool:
        """Whether the two cannot hold these locks at the same time."""
        for cell, mode in mine:
            if cell in self._distrusted:
                continue
            if (cell, "x") in theirs or (mode == "x" and (cell, "r") in theirs):
                return True
        return False

    def _only_reads(self, op: Op) -> bool:
        cell = op.cell
        return all(
            not isinstance(o := op.outcome(v), Done) or o.new == v for v in range(len(cell.values))
        )

    def _close(self, ops: list[Op]) -> bool:
        """Close the known values under ``ops``; false if there are too many."""
        values = ops[0].cell.values if ops else []
        at = 0
        while at < len(values):
            if len(values) > MAX_VALUES:
                return False
            for op in ops:
                op.outcome(at)
            at += 1
        return True

    def _commute(self, a: Op, b: Op) -> bool:
        """Whether ``a`` may be done before ``b`` wherever both can be done (tested values kept)."""
        key = (a.index, b.index)
        at = self._commuting.get(key, 0)
        if at < 0:
            return False
        values = a.cell.values
        while at < len(values):
            if at >= MAX_VALUES or not commute_at(a, b, at):
                self._commuting[key] = -1
                return False
            at += 1
        self._commuting[key] = at
        return True


def _same(x: Outcome, y: Outcome) -> bool:
    """Whether a failing operation fails alike."""
    if isinstance(x, Crashed) and isinstance(y, Crashed):
        return type(x.error) is type(y.error)
    return isinstance(x, Failed) and x == y


def _result(outcome: Done) -> tuple[type, Any]:
    return (type(outcome.result), outcome.result)


def commute_at(a: Op, b: Op, value: int) -> bool:
    """Whether ``a`` may be done before ``b`` at ``value``, if both can be done there."""
    first = a.outcome(value)
    second = b.outcome(value)
    if not isinstance(first, Done) or second is None:
        return True
    second_late = b.outcome(first.new)
    if not isinstance(second, Done):
        return _same(second, second_late)
    first_late = a.outcome(second.new)
    if not isinstance(first_late, Done) or not isinstance(second_late, Done):
        return False
    return (
        first_late.new == second_late.new
        and _result(first) == _result(first_late)
        and _result(second) == _result(second_late)
    )
