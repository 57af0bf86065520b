"""The engine that runs one execution of each Mazurkiewicz trace; see ``_dpor``."""

from __future__ import annotations

import time as clock
from functools import partial

from ..errors import UserError
from ..tables.bounds import OutOfTime
from ..verdict import Limits
from . import _core
from ._dpor import Dpor
from .exploration import TRACES, Exploration, Options, Outcome
from .meter import Meter

MAX_DEPTH = 10_000
MAX_TASKS = 64


def search_traces(
    exploration: Exploration, limits: Limits, seconds: float, options: Options
) -> Outcome:
    """Run one execution of each trace, for at most ``seconds``.

    ``limits.max_states`` bounds the number of executions. A program in which a run can be endless
    ends with LIMIT_DEPTH.
    """
    tables = exploration.tables
    if len(exploration.program.tasks) > MAX_TASKS:
        raise UserError(f"traces are searched of at most {MAX_TASKS} tasks", "use --engine states")
    exploration.final.clear()
    deadline = clock.monotonic() + seconds
    dpor = Dpor(tables.core, MAX_DEPTH)
    progress = options.progress
    meter = Meter(progress, limits.max_memory, "traces") if progress is not None else None
    restarts = 0

    def run() -> int:
        return dpor.run(
            max_traces=limits.max_states,
            max_memory=limits.soft_memory,
            seconds=max(0.0, deadline - clock.monotonic()),
            terminal_sink=exploration.keep if options.keep_final else None,
            tick=partial(meter.tick, tables=None) if meter is not None else None,
        )

    try:
        with tables.bounds.within(deadline, limits.soft_memory):
            while (code := run()) == _core.RESTART:
                restarts += 1
                exploration.final.clear()
                dpor = Dpor(tables.core, MAX_DEPTH)
    except OutOfTime:
        code = _core.LIMIT_TIME
    except MemoryError:
        code = _core.LIMIT_MEMORY
    except KeyboardInterrupt:
        code = _core.INTERRUPTED
    return exploration.outcome(
        TRACES,
        code,
        dpor.paths,
        dpor.counts,
        "optimal DPOR",
    )._replace(
        transitions=dpor.steps,
        traces=dpor.traces,
        depth=dpor.deepest,
        restarts=restarts,
        numbers=frozenset(dpor.counts),
    )
