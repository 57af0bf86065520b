"""From the events of a trace to the lines that tell it.

A replay records everything: each function entered and left, each operation, each note. A reader
wants the story that a maintainer draws by hand, which is far less. The rules, in the order in which
they bite:

* A name that starts with ``~`` is quiet: it has no line, what it calls moves out one level.
* A function that ran from entry to return while no other task did anything, and in which the
  model noted nothing, is one line. What it did inside cannot matter to anybody.
* A finished function without an operation or a note is plumbing and has no line.
* Nested functions of which each does nothing but call the next are cut short by ``...``.
* Notes are always shown, in brackets.
* An operation is shown only where nothing else tells of it: no function shown in the same run
  contains it, no note was made on it, and it changed something. A run that would be empty shows its
  last operation in any case: a context switch without a visible reason is a riddle.
* An operation whose order matters always has a line, its own or that of who tells of it, and the
  line has a number. Once nothing that a task does matters, operations in its functions have none.

A *run* is a stretch in which one task moves and no other does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from refault.explore.trace import Event

from .calls import QUIET, Call, Deed, call_tree, decide, drop_after, fill_empty_runs
from .reasons import Line, Reasons
from .text import ascii_text, shorten, signature

if TYPE_CHECKING:
    from refault.explore.trace import Trace

CHAIN = 5
"""Nested functions that only call the next are cut short from this many on."""
LONGEST_VALUE = 40
TOLD = ("op", "note")


class Story(NamedTuple):
    """Lines run by run, neighbouring runs of different tasks; and the legend below them."""

    runs: list[list[Line]]
    legend: list[str]


class _Told(NamedTuple):
    """A line with its run and what it tells of."""

    run: int
    line: Line
    item: Call | Deed | None


def tell(trace: Trace) -> Story:
    """Return the shown lines of ``trace``, and what to say below them."""
    runs = _runs(_in_place(trace), trace.cycle)
    reasons = Reasons(trace)
    told: list[_Told] = []
    for task in acting(trace):
        bottom = call_tree(task, runs)
        decide(bottom, reasons.points(task))
        drop_after(bottom, reasons.settled(task))
        reasons.place(task, bottom)
        fill_empty_runs(bottom, reasons.settled(task))
        told += _lines(bottom.items, 0)
    told.sort(key=lambda entry: entry.run)
    lines = reasons.marked([(entry.line, entry.item) for entry in told])
    return Story([list(run) for _, run in groupby(lines, lambda line: line.task)], reasons.legend())


def acting(trace: Trace) -> list[str]:
    """Return the tasks that take at least one step, in the order of the program."""
    movers = {task for task, _ in trace.schedule} or {e.task for e in trace.events}
    return [task for task in trace.tasks if task in movers]


def _in_place(trace: Trace) -> list[Event]:
    """Put events where a reader looks for them.

    A replay records at its end which functions the tasks are stuck in. They were entered long
    before, so they belong to the last step of the task. A last step that failed left no event at
    all: the finding itself stands in for it, as a note.
    """
    events = list(trace.events)
    last = {e.task: i for i, e in enumerate(events) if e.step < trace.steps}
    if trace.schedule and not any(e.step == trace.steps - 1 and e.kind in TOLD for e in events):
        failed = trace.schedule[-1][0]
        events.append(Event(trace.steps - 1, failed, "note", 0, trace.finding.kind))
    places = [last.get(e.task, i) if e.step >= trace.steps else i for i, e in enumerate(events)]
    return [events[i] for i in sorted(range(len(events)), key=lambda i: (places[i], i))]


def _runs(events: Sequence[Event], cycle: int) -> list[list[Event]]:
    """Split into runs; one that goes over the beginning of an endless round is two."""
    ends = groupby(events, lambda event: (event.task, 0 <= cycle <= event.step))
    return [list(run) for _, run in ends]


def _lines(items: Iterable[Call | Deed], depth: int, skip: Call | None = None) -> Iterator[_Told]:
    """Yield the lines of ``items`` but for ``skip``."""
    for item in items:
        if isinstance(item, Deed):
            if item.shown:
                event = item.event
                yield _Told(item.run, Line(event.step, event.task, depth, _words(event)), item)
        elif not item.shown:
            yield from _lines(item.items, depth, skip)
        elif item is not skip:
            yield from _call_lines(item, depth)


def _call_lines(call: Call, depth: int) -> Iterator[_Told]:
    """Yield the line of ``call`` and of all that it did, leaving out the middle of a long chain."""
    yield _Told(
        call.first, Line(call.step, call.task, depth, signature(call.name.lstrip(QUIET))), call
    )
    if call.sealed:
        return
    chain = _chain(call)
    if len(chain) < CHAIN:
        yield from _lines(call.items, depth + 1)
        return
    yield _Told(call.first, Line(call.step, call.task, depth + 1, "..."), None)
    inner: Call | None = None
    for caller in reversed(chain[:-2]):
        yield from _lines(caller.items, depth + 1, skip=inner)
        inner = caller


def _chain(call: Call) -> list[Call]:
    """Follow the calls below ``call`` that in its first run do nothing but call the next."""
    chain = [call]
    while not chain[-1].sealed:
        told = [item for item in _told(chain[-1]) if _run(item) == call.first]
        if len(told) != 1 or not isinstance(told[0], Call):
            break
        chain.append(told[0])
    return chain


def _told(call: Call) -> Iterator[Call | Deed]:
    """Yield what has a line directly below ``call``."""
    for item in call.items:
        if item.shown:
            yield item
        elif isinstance(item, Call):
            yield from _told(item)


def _run(item: Call | Deed) -> int:
    return item.first if isinstance(item, Call) else item.run


def _words(event: Event) -> str:
    if event.kind == "note":
        return f"[{ascii_text(event.name)}]"
    operation, cell = event.name, event.cell
    if operation == "write":
        words = f"{cell} = {shorten(event.new, LONGEST_VALUE)}"
    elif operation == "read":
        words = f"read {cell}: {shorten(event.old, LONGEST_VALUE)}"
    elif operation == "wait":
        words = f"wait for {cell}"
    else:
        words = f"{operation}({cell})"
    return ascii_text(words)
