"""The engine that stores states: depth-first search with the learned lock discipline."""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from ..memory import guarded
from ..symmetry import described
from ..tables.bounds import OutOfMemory, OutOfTime
from ..tables.futures import Futures, take
from ..verdict import Limits
from . import _core, _parallel, checkpoint
from .cluster import ClusterSearch, Crew
from .exploration import STATES, Exploration, Options, Outcome
from .meter import Meter

STOPPED = (_core.INTERRUPTED, _core.LIMIT_STATES, _core.LIMIT_MEMORY, _core.LIMIT_TIME)

ALONE = 0.5
"""So many seconds a search has one thread: most are complete by then."""

PATIENCE = 1 << 18
"""After so many transitions futures that lag behind the tables are taken anew."""

WORTH = 5.0
"""A search shorter than this is begun again sooner than gone on with."""


class StateSearch:
    """An exhaustive search over states that can be stopped by a bound and gone on with.

    ``torn`` says that memory ran out in the midst of something: it can be gone on with from a
    checkpoint, but not here. ``rival`` is called now and then where there is another search; it
    may ask for a pause by ``True``, so that another number of ``jobs`` comes into force.
    """

    def __init__(self, exploration: Exploration, limits: Limits, options: Options) -> None:
        self._ex = exploration
        self._limits = limits
        self._options = options
        self._begun = False
        self._start = self._saved = clock.monotonic()
        self._before = 0.0
        self.jobs = 1
        self.workers = 1
        self.torn = False
        self.rival: Callable[[], bool] | None = None
        progress = options.progress
        self._meter = Meter(progress, limits.max_memory) if progress is not None else None
        self.cluster: Crew | None = None
        self.restarts = 0
        self.code = _core.LIMIT_TIME
        self.futures: Futures | None = None
        self._taken_at = 0
        self._patience = PATIENCE
        self._stale = False

    def run(self, seconds: float) -> int:
        """Go on for at most ``seconds``, with ``jobs`` threads; returns a code of the core.

        Where an assumption of the reduction breaks, the search begins again without it.
        """
        deadline = clock.monotonic() + seconds
        while True:
            code = self._go_on(deadline)
            if code == _core.PAUSED and not self._stale:
                if self._due():
                    self.save()
                continue
            if self._stale and code == _core.PAUSED:
                self._patience *= 2
            elif code != _core.RESTART and not (code == _core.COMPLETE and self._outgrown()):
                self.code = code
                return code
            self.restarts += 1
            self._begun = False
            if self.futures is not None:
                self._install(take(self._ex.tables))

    def run_alone(self, seconds: float) -> int:
        """Search with one thread for a moment: that fills the tables, and most often is enough."""
        self.jobs = 1
        return self.run(min(ALONE, seconds))

    def strengthen(self) -> None:
        """Begin again with the reduction by futures; see ``futures``."""
        if self._options.reduce:
            self._begun = False
            self._install(take(self._ex.tables))

    def _spread(self, cluster: Crew) -> None:
        """Have several processes search.

        Each numbers local states as it finds them, and the cycle proviso for sets of several
        tasks goes by those numbers. So futures are not for them.
        """
        self.cluster = cluster
        if self.futures is not None:
            self.futures = None
            self._begun = False
            self._ex.tables.native.drop_futures()

    def _install(self, futures: Futures) -> None:
        self.futures = futures
        self._stale = False
        self._taken_at = len(self._ex.tables.nodes)
        self._ex.tables.native.set_futures(*futures.packed())

    def _outgrown(self) -> bool:
        """Whether the tables have grown beyond the futures that the search relied on."""
        if self.futures is None:
            return False
        now = take(self._ex.tables)
        if self._options.reduce == "futures":
            return now != self.futures
        return not self.futures.hold(now)

    def _tick(self, states: int, transitions: int, depth: int) -> bool:
        """What there is to do now and then; whether the search is to pause for a moment."""
        pause = self.rival is not None and self.rival()
        if self._meter is not None:
            self._meter.rival = self.rival is not None
            # A cluster's states are not all here, so they cannot be surveyed.
            tables = self._ex.tables if self.cluster is None else None
            self._meter.tick(states, transitions, depth, tables, bool(self._options.reduce))
        self._stale = self._lags(transitions)
        return pause or self._stale or self._due()

    def _lags(self, transitions: int) -> bool:
        """Whether futures should be taken anew at once.

        What was not known when they were taken counts as able to do anything, so a search with old
        ones can be as long as one without. It is begun again after twice as long each time.
        """
        if self.futures is None or transitions < self._patience:
            return False
        return len(self._ex.tables.nodes) > self._taken_at

    def _due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        options = self._options
        return options.checkpoint is not None and clock.monotonic() - self._saved > options.every

    def _go_on(self, deadline: float) -> int:
        tables = self._ex.tables
        if self._options.reduce == "futures" and self.futures is None and self.cluster is None:
            self._install(take(self._ex.tables))
        resume, self._begun = self._begun, True
        if not resume:
            self._ex.final.clear()
            if self._meter is not None:
                self._meter.restart()
        search = tables.core.search
        if self.cluster is not None:
            search = ClusterSearch(self._ex, self.cluster).search
            self.workers = self.cluster.size
        elif self.jobs > 1:
            self.workers = max(self.workers, self.jobs)
            search = partial(_parallel.search, tables.core, jobs=self.jobs)
        try:
            with tables.bounds.within(deadline, self._limits.soft_memory):
                if tables.orbits is not None:
                    tables.orbits.finish()
                return search(
                    reduce=bool(self._options.reduce),
                    resume=resume,
                    max_states=self._limits.max_states,
                    max_memory=self._limits.soft_memory,
                    seconds=max(0.0, deadline - clock.monotonic()),
                    terminal_sink=self._ex.keep if self._options.keep_final else None,
                    tick=self._tick,
                )
        except OutOfTime:
            return _core.LIMIT_TIME
        except OutOfMemory:
            return _core.LIMIT_MEMORY
        except MemoryError:
            self.torn = True
            return _core.LIMIT_MEMORY

    @contextmanager
    def within(self, max_memory: int) -> Iterator[None]:
        """Search in less memory than the limits have, for others need some."""
        before = self._limits
        self._limits = before.with_(max_memory=max_memory)
        try:
            with guarded(max_memory):
                yield
        finally:
            self._limits = before

    def outcome_after(self, seconds: float, cluster: Crew | None = None) -> Outcome:
        """Go on for at most ``seconds`` and say what came of it, also after Ctrl-C."""
        try:
            code = self.run_alone(seconds)
            if code == _core.LIMIT_TIME and seconds > self.seconds_here:
                self.jobs = self._options.jobs
                if cluster is not None:
                    self._spread(cluster)
                code = self.run(seconds - self.seconds_here)
        except KeyboardInterrupt:
            code = _core.INTERRUPTED
        except MemoryError:
            code = _core.LIMIT_MEMORY
        self.close(code)
        return self.outcome(code)

    def load(self) -> None:
        """Go on from the checkpoint; raises ``UserError`` if that is not possible."""
        options = self._options
        assert options.checkpoint is not None
        header, futures = checkpoint.load(
            options.checkpoint, self._ex, about=options.about, reduce=bool(options.reduce)
        )
        self._begun = True
        self.restarts = header.restarts
        self._before = header.seconds
        if futures is not None:
            self._install(futures)

    def save(self) -> None:
        """Write the checkpoint; a disk that does not take it costs a warning, not the search."""
        options = self._options
        self._saved = clock.monotonic()
        if options.checkpoint is None:
            return
        try:
            checkpoint.save(
                options.checkpoint,
                self._ex,
                about=options.about,
                reduce=bool(options.reduce),
                restarts=self.restarts,
                seconds=self.seconds,
                futures=self.futures is not None,
            )
        except (OSError, MemoryError) as e:
            why = "out of memory" if isinstance(e, MemoryError) else e.strerror or e
            where = f"{options.checkpoint}: {why}"
            warnings.warn(f"no checkpoint was written: {where}", RuntimeWarning, stacklevel=2)

    @property
    def seconds(self) -> float:
        """How long it has been searching, in this process and those before."""
        return self._before + self.seconds_here

    @property
    def seconds_here(self) -> float:
        """How long it has been searching in this process."""
        return clock.monotonic() - self._start

    def close(self, code: int) -> None:
        """Keep a checkpoint of a long search that is not complete, and give the memory back."""
        whole = self._begun and self._ex.tables.core.whole
        if code in STOPPED and whole and self.seconds > WORTH:
            self.save()
        self._begun = False
        with suppress(MemoryError):
            self._ex.tables.core.forget()

    def _reduction(self) -> str:
        if not self._options.reduce:
            return "none"
        kinds = ["lock discipline"]
        if self.futures is not None:
            kinds.append("futures")
        if self._ex.tables.orbits is not None:
            kinds.append(f"symmetry of {described(self._ex.program)}")
        return ", ".join(kinds)

    def outcome(self, code: int) -> Outcome:
        """What came of it."""
        core = self._ex.tables.core
        return self._ex.outcome(
            STATES,
            code,
            core.paths,
            core.counts,
            self._reduction(),
        )._replace(
            states=core.states,
            transitions=core.transitions,
            terminals=core.terminals,
            depth=core.deepest,
            restarts=self.restarts,
            workers=self.workers,
            numbers=frozenset(core.counts),
        )
