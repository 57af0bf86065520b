"""The engine of last resort: random schedules; see ``_sample``. It finds and never proves."""

from __future__ import annotations

import time as clock

from ..tables.behaviour import OutOfTime
from ..verdict import Limits
from . import _core
from ._sample import Sampler
from .exploration import SAMPLES, Exploration, Options, Outcome

MAX_DEPTH = 10_000


def search_samples(
    exploration: Exploration, limits: Limits, seconds: float, options: Options
) -> Outcome:
    """Run random schedules until one shows a finding, for at most ``seconds``."""
    tables = exploration.tables
    sampler = Sampler(tables.core, options.seed, MAX_DEPTH)
    code = _core.LIMIT_TIME
    try:
        with tables.bounded(clock.monotonic() + seconds, limits.soft_memory):
            sampler.run(seconds=seconds)
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
