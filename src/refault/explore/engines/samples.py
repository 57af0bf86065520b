"""The engine of last resort: random schedules; see ``_sample``. It finds and never proves."""

from __future__ import annotations

import time as clock
from collections.abc import Callable

from ..tables.bounds import OutOfTime
from ..verdict import Limits
from . import _core
from ._sample import Sampler
from .exploration import SAMPLES, Exploration, Options, Outcome

MAX_DEPTH = 10_000


PATIENCE = 10.0
"""Most of what random schedules find they find in so many seconds."""


def search_samples(
    exploration: Exploration,
    limits: Limits,
    seconds: float,
    options: Options,
    tire: Callable[[], None] | None = None,
) -> Outcome:
    """Run random schedules until one shows a finding, for at most ``seconds``.

    ``tire`` is called when none has for a while.
    """
    deadline = clock.monotonic() + seconds
    tables = exploration.tables
    sampler = Sampler(tables.core, options.seed, MAX_DEPTH)
    code = _core.LIMIT_TIME
    try:
        with tables.bounds.within(deadline, limits.soft_memory):
            if tire is not None and not sampler.run(seconds=min(PATIENCE, seconds)):
                tire()
            sampler.run(seconds=max(0.0, deadline - clock.monotonic()))
    except OutOfTime:
        pass
    except MemoryError:
        code = _core.LIMIT_MEMORY
    except KeyboardInterrupt:
        code = _core.INTERRUPTED
    return exploration.outcome(
        SAMPLES,
        code,
        sampler.paths,
        sampler.counts,
        "random schedules",
    )._replace(
        transitions=sampler.steps,
        traces=sampler.runs,
        depth=max(map(len, sampler.paths.values()), default=0),
    )
