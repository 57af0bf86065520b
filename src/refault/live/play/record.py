"""Operations of litmus tests written down in lists instead of being started at once.

The functions that start a step on a stage are called with a stage whose threads write down what
they are told, so every operation that is one load, one store or one system call can be had in
a list, and its value is read from there in the same way.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from refault.litmus.program import Step

from ..lists import CALL, DONE, LOAD, STORE, Board, Entry
from ..slot import Handled
from .operations import OPERATIONS, Gate, Started
from .stage import Stage


class NotListed(Exception):
    """The step does something that cannot be written down."""


class Written(NamedTuple):
    """The command of a step that is in a list."""

    entry: Entry

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.entry.state == DONE

    def wait(self, _seconds: float = 0.0) -> int:
        """Return the result; it must be done."""
        return self.entry.result


class Pen:
    """Stands for the thread of a step, and for its slot."""

    def __init__(self, entry: Entry, after: int) -> None:
        self.entry = entry
        self.after = after

    @property
    def slot(self) -> Pen:
        """What has room for arguments."""
        return self

    def room(self, data: bytes) -> int:
        """Put data where arguments may point to."""
        return self.entry.room(data)

    def found(self, size: int, offset: int = 0) -> bytes:
        """What is there now."""
        return self.entry.found(size, offset)

    def _put(self, what: int, *arguments: int) -> Written:
        self.entry.put(what, self.after, arguments)
        return Written(self.entry)

    def load(self, address: int, *, gate: bool = False, delay: int = 0) -> Written:
        """Load a byte."""
        return self._put(LOAD, address)

    def store(self, address: int, value: int, *, gate: bool = False, delay: int = 0) -> Written:
        """Store a byte."""
        return self._put(STORE, address, value)

    def syscall(self, number: int, *args: int, gate: bool = False, delay: int = 0) -> Written:
        """Do a system call."""
        return self._put(CALL, number, *args)

    @property
    def handled(self) -> Handled:
        """The signal that ended the access."""
        return Handled(1, -self.entry.result, 0, self.entry.code, 0)

    def __getattr__(self, name: str) -> Any:
        raise NotListed(f"a list has no {name}")


class _Paper(Stage):
    """A stage that has one thread, which writes down what it is told."""

    def __init__(self, stage: Stage, pen: Pen) -> None:
        vars(self).update(vars(stage))
        self._pen = pen

    def thread(self, name: str) -> Any:
        """The pen."""
        return self._pen


def at(stage: Stage, addresses: dict[str, int]) -> Stage:
    """The same stage with its memory elsewhere."""
    other = copy.copy(stage)
    other.addresses = addresses
    return other


def write(board: Board, stage: Stage, step: Step, after: int) -> Started:
    """Write a step down as the next entry, its turn ``after`` so many steps."""
    pen = Pen(board.entry(), after)
    return OPERATIONS[step.do](_Paper(stage, pen), step, Gate())
