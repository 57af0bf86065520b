"""Mutations: one synchronisation less, put between the tasks of a program and their operations.

A *mutation* is a plain value that fits any program made by the same build. Installed in one, it
makes a *hook* that is asked to do each operation and, at its sites, does something else. Hooks
obey the rules for model code: what they remember of a run is in cells of their own, so a mutated
program can be explored like any other.

An operation that is dropped stays a step, without effect: a loop that spins on it is then a
livelock, and no explorer that hangs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar, NamedTuple

from ..operation import Op
from ..program import Performer, Program
from .sites import Chain, frames

Spot = tuple[str, int, int]


class Site(NamedTuple):
    """Where an operation is asked for: the place in each call on the stack, the innermost first."""

    spots: tuple[Spot, ...]
    op: str

    @classmethod
    def of(cls, calls: Chain, op: str) -> Site:
        """The site of an operation of this name."""
        return cls(tuple((c.file, c.first, c.at) for c in calls), op)


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A mutation of the operations at ``sites`` on ``cells``.

    ``function`` and ``place`` tell where the code is and ``what`` is meant there. ``tasks`` are
    those that come there; ``remark`` is what is known of the outcome.
    """

    kind: ClassVar[str]

    function: str
    what: str
    place: str
    sites: frozenset[Site]
    cells: frozenset[str]
    tasks: tuple[str, ...]
    remark: str = ""

    @property
    def name(self) -> str:
        """The mutation in one line."""
        return f"{self.function} > {self.what} {self.change}"

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        raise NotImplementedError

    @property
    def point(self) -> str:
        """What nothing depends on if this makes no difference."""
        return f"{self.what} in {self.function}"

    def hook(self, program: Program) -> Hook:
        """What does it in ``program``."""
        raise NotImplementedError


class Hook:
    """Changes nothing; the base of those that do.

    ``differed`` is False as long as the mutation has been of no consequence, where that is known.
    """

    def __init__(self, program: Program, mutation: Mutation) -> None:
        self.program = program
        self.sites = mutation.sites
        self.cells = mutation.cells
        self.differed: bool | None = None
        self._made: dict[tuple[int, str], Op] = {}

    def perform(self, run: Performer, op: Op) -> Any:
        """Do an operation."""
        return run.ask(op)

    def splits(self, run: Performer) -> bool:
        """Whether an atomic block is to be none."""
        return False

    def finish(self, run: Performer) -> None:
        """A task has returned."""

    def at(self, op: Op, sites: frozenset[Site]) -> Site | None:
        """The site, of these, at which the running task asks for ``op``."""
        found = tuple(spot(f.frame) for f in frames(sys._getframe(1)))
        here = (s for s in sites if s.op == op.name and found[: len(s.spots)] == s.spots)
        return next(here, None)

    def instead(self, op: Op, name: str, fn: Callable[[Any], Any], *, reads: bool = False) -> Op:
        """The operation ``fn`` in the place of ``op``; the same object for the same two."""
        made = self._made.get((op.index, name))
        if made is None:
            made = Op(self.program.next_op(), op.cell, name, fn, (), reads=reads)
            self._made[op.index, name] = made
        return made

    def nothing(self, op: Op, result: Any) -> Op:
        """A step that has no effect and gives ``result``."""
        return self.instead(op, f"no {op.name}", lambda old: (old, result), reads=True)

    def look(self, op: Op) -> Op:
        """A read of the operation's cell."""
        return self.instead(op, "look", recall, reads=True)


def spot(frame: FrameType) -> Spot:
    """Where a call is, as in ``Call``."""
    return frame.f_code.co_filename, frame.f_code.co_firstlineno, frame.f_lasti


def recall(old: Any) -> tuple[Any, Any]:
    """The operation that reads what a hook keeps in a cell."""
    return old, old


def keep(_old: Any, new: Any) -> tuple[Any, None]:
    """The operation that writes it."""
    return new, None
