"""The engine that stores states: depth-first search with the learned lock discipline."""

from __future__ import annotations

import math
import time as clock

from . import _core
from .exploration import STATES, Exploration, Options, Outcome, Progress
from .tables import OutOfTime
from .verdict import Limits


class StateSearch:
    """An exhaustive search over states that can be stopped by a bound and gone on with."""

    def __init__(self, exploration: Exploration, limits: Limits, options: Options) -> None:
        self._ex = exploration
        self._limits = limits
        self._options = options
        self._begun = False
        self.restarts = 0

    def run(self, seconds: float, progress: Progress | None = None) -> int:
        """Go on for at most ``seconds``; returns a code of the core.

        Where an assumption of the reduction breaks, the search begins again without it.
        ``progress`` takes the place of the one in the options.
        """
        deadline = clock.monotonic() + seconds
        while True:
            code = self._go_on(deadline, progress or self._options.progress)
            if code != _core.RESTART:
                return code
            self.restarts += 1
            self._begun = False

    def _go_on(self, deadline: float, progress: Progress | None) -> int:
        tables = self._ex.tables
        resume, self._begun = self._begun, True
        if not resume:
            self._ex.final.clear()
        tables.deadline = deadline
        try:
            return tables.core.search(
                reduce=self._options.reduce,
                resume=resume,
                max_states=self._limits.max_states,
                max_memory=self._limits.max_memory,
                seconds=max(0.0, deadline - clock.monotonic()),
                terminal_sink=self._ex.keep if self._options.keep_final else None,
                tick=progress,
            )
        except OutOfTime:
            return _core.LIMIT_TIME
        finally:
            tables.deadline = math.inf

    def outcome_after(self, seconds: float) -> Outcome:
        """Go on for at most ``seconds`` and say what came of it, also after Ctrl-C."""
        try:
            code = self.run(seconds)
        except KeyboardInterrupt:
            code = _core.INTERRUPTED
        return self.outcome(code)

    def outcome(self, code: int) -> Outcome:
        """What came of it."""
        core = self._ex.tables.core
        return Outcome(
            engine=STATES,
            code=code,
            found=self._ex.found(core.paths),
            counts=self._ex.counts(core.counts),
            states=core.states,
            transitions=core.transitions,
            terminals=core.terminals,
            traces=0,
            depth=core.deepest,
            restarts=self.restarts,
            local_states=len(self._ex.tables.nodes),
            misses=core.misses,
            final=frozenset(self._ex.final),
            reached=frozenset(self._ex.program.reached),
        )
