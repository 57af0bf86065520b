"""The call tree of one task, and the decision which parts of it get a line.

See ``story`` for the rules; this is where they are applied.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refault.explore.trace import Event

QUIET = "~"
PLUMBING = re.compile(r"mmap_(read|write)_(un)?lock")
"""Around nearly everything: no line, unless somebody is disturbed in it or its order matters."""

Point = tuple[int, str]
"""An operation, by its step and its cell."""


@dataclass(eq=False)
class Call:
    """A function activation, or the bottom of a task's stack (``name`` empty).

    ``first`` and ``last`` number the runs in which it had events; ``closed`` says that it
    returned.
    """

    task: str
    name: str
    step: int
    first: int
    last: int
    caller: Call | None = None
    items: list[Call | Deed] = field(default_factory=list)
    closed: bool = False
    noted: bool = False
    worked: bool = False
    shown: bool = False

    @property
    def quiet(self) -> bool:
        """Tell whether the model asked for no line of its own."""
        return not self.name or self.name.startswith(QUIET)

    @property
    def sealed(self) -> bool:
        """Tell whether nothing inside can matter to a reader: one line says it all."""
        return self.closed and self.first == self.last and not self.noted and not self.quiet


@dataclass(eq=False)
class Deed:
    """An operation or a note, where it happened and in which run."""

    event: Event
    run: int
    caller: Call
    shown: bool = False


def call_tree(task: str, runs: Sequence[Sequence[Event]]) -> Call:
    """Fold the events of ``task`` into its call tree."""
    bottom = top = Call(task, "", 0, 0, 0)
    for number, run in enumerate(runs):
        for event in run if run[0].task == task else ():
            top.last = number
            if event.kind == "enter":
                call = Call(task, event.name, event.step, number, number, caller=top)
                top.items.append(call)
                top = call
            elif event.kind == "exit":
                top = _leave(top, event.name, number)
            else:
                top.items.append(Deed(event, number, top))
                _mark(top, event)
    return bottom


def _leave(top: Call, name: str, run: int) -> Call:
    """Return from ``name``, and from whatever it called that an exception cut short."""
    while top.caller is not None:
        top.last, top.closed = run, True
        left, top = top.name, top.caller
        if left == name:
            break
    return top


def _mark(call: Call | None, event: Event) -> None:
    """Record in a call and its callers that a note was made, or that a step was taken."""
    while call is not None:
        call.noted |= event.kind == "note"
        call.worked = True
        call = call.caller


def decide(call: Call, points: Collection[Point] = ()) -> None:
    """Settle which calls, notes and operations below ``call`` have a line.

    ``points`` are operations whose order matters.
    """
    earlier: Deed | None = None
    for item in call.items:
        if isinstance(item, Call):
            item.shown = not item.quiet and (item.worked or not item.closed)
            if item.sealed and PLUMBING.fullmatch(item.name):
                item.shown = any(point(deed) in points for deed, _ in deeds(item))
            earlier = None
            if not item.sealed:
                decide(item, points)
                earlier = _last_operation(item)
        elif item.event.kind == "note":
            item.shown = not item.event.name.startswith(QUIET)
            if earlier is not None:
                earlier.shown = False
        else:
            earlier = item
            item.shown = _telling(item) and not _announced(item)


def _last_operation(call: Call) -> Deed | None:
    """Return the operation that ``call`` ends with, which a note of its caller may be about."""
    last = call.items[-1] if call.items else None
    if isinstance(last, Call):
        return _last_operation(last)
    return last if last is not None and last.event.kind == "op" else None


def _announced(deed: Deed) -> bool:
    """Tell whether a function around ``deed`` has its line in the same run."""
    call: Call | None = deed.caller
    while call is not None:
        if call.shown and call.first == deed.run:
            return True
        call = call.caller
    return False


def _telling(deed: Deed) -> bool:
    """Tell whether an operation changed something that the model does not ask to pass over."""
    event, caller = deed.event, deed.caller
    quiet = any(name.startswith(QUIET) for name in (event.name, event.cell, caller.name))
    return event.old != event.new and not quiet


def drop_after(bottom: Call, step: float) -> None:
    """Take their lines from operations after ``step``, when all that matters has happened.

    That is for operations within functions: a task that calls none has nothing else to show.
    """
    for deed, _ in deeds(bottom):
        if _late(deed, step):
            deed.shown = False


def _late(deed: Deed, step: float) -> bool:
    return deed.event.kind == "op" and deed.event.step > step and deed.caller.name != ""


def fill_empty_runs(bottom: Call, until: float) -> None:
    """Show the last operation of each run that would be empty else, up to step ``until``."""
    told: set[int] = set()
    last: dict[int, Deed] = {}
    for item in _within(bottom):
        if isinstance(item, Call):
            told |= {item.first} if item.shown else set()
        elif item.shown:
            told.add(item.run)
        elif item.event.kind == "op" and not item.event.name.startswith(QUIET):
            if _late(item, until):
                continue
            last[item.run] = item
    for run in last.keys() - told:
        last[run].shown = True


def _within(call: Call) -> Iterator[Call | Deed]:
    """Yield all below ``call`` that no one-line function swallows."""
    for item in call.items:
        yield item
        if isinstance(item, Call) and not item.sealed:
            yield from _within(item)


def point(deed: Deed) -> Point:
    """Return what tells an operation from all others of its task."""
    return deed.event.step, deed.event.cell


def deeds(call: Call, inside: Call | None = None) -> Iterator[tuple[Deed, Call | None]]:
    """Yield all operations and notes below ``call``, each with the one-line function around it."""
    for item in call.items:
        if isinstance(item, Deed):
            yield item, inside
        else:
            yield from deeds(item, inside or (item if item.sealed and item.shown else None))
