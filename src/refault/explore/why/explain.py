"""Why a counterexample goes wrong: which orders matter, and since when there was no way out.

A schedule with the fewest context switches is short, but most of what it shows is only how one gets
there. Three things are worked out for the reader, all by trying:

* which *orders* matter, see ``orders``;
* when it became *inevitable*: the first moment from which every way of going on ends in this kind
  of finding. What is inevitable stays so, which is why bisection finds that moment;
* the *missed wake-up* of each task that is left sleeping, see ``missed``.

All of it is bounded: what is not settled in time is left out, and the trace says so. A schedule
that is not known to be the shortest is made shorter first.
"""

from __future__ import annotations

import time as clock
from typing import NamedTuple

from msgspec.structs import replace as with_fields

from ..engines.exploration import Exploration, Path
from ..errors import UserError
from ..replay import replay
from ..tables.bounds import OutOfTime
from ..trace import Trace
from .missed import missed_wakeups
from .orders import Orders
from .prospects import MAX_MEMORY, Ends, Prospects, Rounds
from .shorten import shorten
from .walk import Run, Walker

SECONDS = 2.0
"""Time for one counterexample, at most."""
MAX_STEPS = 2000


def explained(exploration: Exploration, trace: Trace, seconds: float = SECONDS) -> Trace:
    """``trace`` with what explains it, as far as ``seconds`` suffice.

    Other searches are made with the tables' native core: read its results before.
    """
    if seconds <= 0:
        return trace
    deadline = clock.monotonic() + seconds
    try:
        with exploration.tables.bounds.within(deadline):
            shorter = _shortened(exploration, trace, deadline - seconds / 2)
            return _why(exploration, shorter, deadline, _bound(seconds))
    except (OutOfTime, MemoryError):
        return with_fields(trace, unexplained=_bound(seconds))
    except KeyboardInterrupt:
        return with_fields(trace, unexplained="interrupted")
    except UserError as error:
        return with_fields(trace, unexplained=error.message)


def _bound(seconds: float) -> str:
    return f"that takes more than {seconds:.1f} s or {MAX_MEMORY >> 20} MiB"


def _path(exploration: Exploration, trace: Trace) -> Path:
    number = {t.name: t.index for t in exploration.program.tasks}
    return [(number[task], choice) for task, choice in trace.schedule]


def _shortened(exploration: Exploration, trace: Trace, deadline: float) -> Trace:
    """A trace of no more context switches, where ``trace`` may have too many."""
    if trace.minimal or trace.cycle >= 0 or trace.steps > MAX_STEPS:
        return trace
    path = _path(exploration, trace)
    kind = trace.finding.kind
    shorter = shorten(Walker(exploration.tables), path, kind, deadline)
    if shorter == path:
        return trace
    return replay(exploration.build, exploration.named(shorter), expect=kind)


def _why(exploration: Exploration, trace: Trace, deadline: float, bound: str) -> Trace:
    if trace.steps > MAX_STEPS:
        return with_fields(trace, unexplained=f"it has more than {MAX_STEPS} steps")
    run = Run(Walker(exploration.tables), _path(exploration, trace))
    prospects = _prospects(exploration, run, trace, deadline)
    inevitable = _inevitable(run, prospects, trace.cycle)
    orders = Orders(run, prospects, trace.finding.kind, deadline)
    found = orders.find()
    complete = inevitable.known and orders.complete
    return with_fields(
        trace,
        orders=found,
        inevitable=inevitable.step,
        missed=missed_wakeups(run, prospects, trace, found),
        unexplained="" if complete else bound,
    )


def _prospects(exploration: Exploration, run: Run, trace: Trace, deadline: float) -> Prospects:
    if trace.cycle >= 0:
        return Rounds(run.walker, run.states[trace.cycle :], deadline)
    return Ends(exploration.tables, trace.finding.kind, deadline)


class _Moment(NamedTuple):
    """A number of steps, -1 if there is none; ``known`` says that this is settled."""

    step: int
    known: bool


def _inevitable(run: Run, prospects: Prospects, cycle: int) -> _Moment:
    """The number of steps after which there is no way out any more."""
    doomed = cycle if cycle >= 0 else len(run)
    if cycle >= 0 and not prospects.doomed(run.states[cycle]):
        return _Moment(-1, prospects.doomed(run.states[cycle]) is not None)
    free, stride = -1, 1
    while doomed - free > 1:
        at = max(doomed - stride, 0) if free < 0 else (doomed + free) // 2
        answer = prospects.doomed(run.states[at])
        if answer is None:
            return _Moment(-1, known=False)
        if answer:
            doomed, stride = at, 2 * stride
        else:
            free = at
    return _Moment(doomed, known=True)
