"""One run of a litmus test on the model, without a search.

``allowed()`` finds all outcomes of a program and takes tens of milliseconds; ``Once`` finds one of
them in about one. Each thread goes on by itself until it must wait, then the first of the others
that can; a thread that goes round without anything having changed waits until something has. That
is one of the interleavings of the search, so its outcome is one of those allowed. Where threads
race there are others; ``last`` lets the last thread that can go on, in place of the first.

The cells and threads of a program are made once for all programs that differ in their moves only:
all else is kept from run to run, with what is known of each operation.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from greenlet import GreenletExit

from refault.explore import ModelError, Violation
from refault.explore import Program as Model
from refault.explore.operation import Done, Failed, Op
from refault.explore.program import Task
from refault.explore.runner import Finished, Request, Runner, TaskEnd
from refault.explore.trace import Finding
from refault.linux import Kernel
from refault.litmus.program import Outcome, Program, Step
from refault.patches import resolve

from .board import first, plan_of
from .play import play
from .room import Room, room
from .world import World


class Unfit(ModelError):
    """The one run cannot tell what a search would."""


class Turn(Runner):
    """A thread: it does its operations by itself, and gives way where one of them must wait."""

    def __init__(self, once: Once, task: Task) -> None:
        super().__init__(once.model, task)
        self.once = once
        self.waits: Op | None = None
        self.stuck_at: tuple[int, ...] = ()
        self._undo: list[tuple[int, int]] = []
        self._block: list[tuple[Op, Any]] = []
        self._scopes: list[set[Hashable]] = [set()]

    @property
    def atomic(self) -> int:
        """Depth of nested atomic blocks; what was done in one is final when the outermost ends."""
        return self._atomic

    @atomic.setter
    def atomic(self, depth: int) -> None:
        self._atomic = depth
        if depth == 0:
            self._undo.clear()
            self._block.clear()

    def can_go_on(self, values: list[int]) -> bool:
        """Whether it is worth a try."""
        if self.stuck_at:
            return self.stuck_at != tuple(values)
        return self.waits is None or self.waits.outcome(values[self.waits.cell.index]) is not None

    def ask(self, op: Op) -> Any:
        """Do one operation; let others run first as long as it must wait."""
        if self._dying:
            raise GreenletExit
        if self._ended:
            raise TaskEnd
        values = self.once.values
        while True:
            at = op.cell.index
            outcome = op.outcome(values[at])
            if isinstance(outcome, Done):
                if self._atomic:
                    self._undo.append((at, values[at]))
                    self._block.append((op, outcome.result))
                values[at] = outcome.new
                return outcome.result
            if isinstance(outcome, Failed):
                raise Violation(outcome.finding.kind, outcome.finding.message)
            if outcome is not None:
                raise op.crash(outcome.error)
            self._wait(op)

    def perform(self, op: Op) -> Any:
        """Do one operation."""
        return self.ask(op)

    def _wait(self, op: Op) -> None:
        """Let others run. Of an atomic block nothing has happened; afterwards it happens again."""
        values = self.once.values
        for at, old in reversed(self._undo):
            values[at] = old
        self._undo.clear()
        self.waits = self._block[0][0] if self._block else op
        if self._block:
            self.stuck_at = tuple(values)
        self._switch(op)
        self.waits, self.stuck_at = None, ()
        for done, result in self._block:
            at = done.cell.index
            outcome = done.outcome(values[at])
            if not isinstance(outcome, Done) or outcome.result != result:
                raise Unfit("an atomic step that goes another way later", "search")
            self._undo.append((at, values[at]))
            values[at] = outcome.new

    def _switch(self, op: Op | None) -> None:
        parent = self._greenlet.parent
        assert parent is not None
        parent.switch(Request(op, (), False))
        if self._dying:
            raise GreenletExit

    def choose(self, options: tuple[Any, ...]) -> Any:
        """Take the first, or the last."""
        return options[-1 if self.once.last else 0]

    def restart(self, site: Hashable, state: tuple[Any, ...]) -> None:
        """Give way where the thread was before with everything the same: it spins."""
        here = tuple(self.once.values)
        seen = self._scopes[-1]
        if (site, state, here) in seen:
            self.stuck_at = here
            self._switch(None)
            self.stuck_at = ()
        else:
            seen.add((site, state, here))

    def enter(self, name: str) -> None:
        """A scope begins."""
        self._scopes.append(set())

    def leave(self, name: str, result: Any) -> None:
        """A scope returned."""
        self._scopes.pop()

    def abandon(self, name: str) -> None:
        """A scope raised."""
        self._scopes.pop()


class Once:
    """Plays programs that differ from ``program`` in their moves only, each of them once."""

    def __init__(self, program: Program, variant: str = "", *, space: Room | None = None) -> None:
        patches = resolve(variant)
        self.model = Model()
        self.space = room(program) if space is None else space
        kernel = Kernel(self.model, patches, arch=patches.arch, frames_per_cpu=self.space.frames)
        self.world = play(program, kernel, space=self.space)
        self.values: list[int] = []
        self.last = False

    def run(self, program: Program, *, last: bool = False) -> Outcome:
        """The outcome of one run of a program.

        Raises ``Violation`` where the kernel breaks a property, ``NotModelled`` where it does
        something that the model leaves out, and ``Unfit`` where one run cannot tell.
        """
        world, said = self.world, dict[str, str]()
        world.begin(program, said)
        board = world.board
        board.plan = plan_of(program)
        self.last = last
        self.values = [0] * len(self.model.cells)
        self.values[board.cell.index] = board.cell.intern(
            first(board.names, board.plan, board.unborn)
        )
        turns = [Turn(self, task) for task in self.model.tasks]
        if last:
            turns.reverse()
        try:
            self._go_on(turns)
        finally:
            for turn in turns:
                turn.kill()
        state = self[board.cell]
        if not board.ended(state):
            raise Unfit(f"move {state.move} is never over: {state.threads}", "tell it otherwise")
        return world.values(said, state)

    def __getitem__(self, cell: Any) -> Any:
        return cell.values[self.values[cell.index]]

    def _go_on(self, turns: list[Turn]) -> None:
        left = list(turns)
        while left:
            turn = next((t for t in left if t.can_go_on(self.values)), None)
            if turn is None:
                return
            stop = turn.resume()
            if isinstance(stop, Finding):
                raise Violation(stop.kind, stop.message)
            if isinstance(stop, Finished):
                left.remove(turn)


__all__ = ["Once", "Room", "Step", "Unfit", "World"]
