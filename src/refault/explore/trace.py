"""What a run leaves behind: findings and the replayed trace of a schedule."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from msgspec import Struct

EventKind = Literal["enter", "exit", "op", "note"]


class Finding(Struct, frozen=True):
    """A broken property: its ``kind``, a sentence, and the diagnosis line by line."""

    kind: str
    message: str = ""
    detail: tuple[str, ...] = ()


class Event(Struct, frozen=True):
    """One line of a replayed run.

    ``step`` counts scheduler steps from 0; ``depth`` is the call depth of traced functions in
    this task. An ``op`` names its cell and shows the cell's value before and after; an ``exit``
    shows what the function returned in ``result``.
    """

    step: int
    task: str
    kind: EventKind
    depth: int
    name: str
    cell: str = ""
    old: str = ""
    new: str = ""
    result: str = ""


class Order(Struct, frozen=True):
    """Two operations of different tasks on one cell, and whether their order matters.

    It does if the finding cannot come about any more once ``second`` has been done before
    ``first``. Both are steps; where ``second`` is the number of steps of the trace, it is what its
    task was still waiting to do.
    """

    first: int
    second: int
    tasks: tuple[str, str]
    operations: tuple[str, str]
    cell: str
    matters: bool


class Missed(Struct, frozen=True):
    """The last wake-up that ``sleeper`` was not there to see, and where its order matters."""

    sleeper: str
    waker: str
    step: int
    call: str


class Trace(Struct, frozen=True):
    """A schedule run through the real Python: the counterexample that people read.

    ``schedule`` holds (task, choice) per step; ``minimal`` says that no schedule to this kind of
    finding has fewer context switches, nor as few with fewer steps. ``cycle`` is the step from
    which on the rest of the schedule repeats for ever, or -1. ``waiting`` names the tasks that have
    not returned.

    Of what explains it (see ``explain``), ``inevitable`` is the number of steps after which every
    way of going on ends in this kind of finding, or -1 if that is not known; ``unexplained`` says
    why some of it is missing.
    """

    tasks: tuple[str, ...]
    schedule: tuple[tuple[str, int], ...]
    events: tuple[Event, ...]
    finding: Finding
    switches: int
    steps: int
    minimal: bool
    cycle: int = -1
    waiting: tuple[str, ...] = ()
    orders: tuple[Order, ...] = ()
    inevitable: int = -1
    missed: tuple[Missed, ...] = ()
    unexplained: str = ""


def count_switches(schedule: tuple[tuple[str, int], ...]) -> int:
    """Count the places where the next step belongs to another task."""
    return sum(a[0] != b[0] for a, b in pairwise(schedule))
