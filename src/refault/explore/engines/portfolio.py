"""Several engines, one verdict: the first that is sound wins.

Neither kind of search wins everywhere. Where tasks mostly touch different things there are few
traces and no end of states; where they contend for a few things it is the other way round, and
with endless tasks there are no finite traces at all. So the states are searched alone for a
moment, which settles most models; then a second process searches the traces while the first one
goes on. Where runs can be endless it takes random schedules instead, which find what they find and
prove nothing.

The second process has one of the cores that may be used, the search of states the others, one at
the least. Random schedules that have found nothing for a while *yield*: they take what nobody else
wants, and the states are searched on all cores; so they are when the process gives up or is killed.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import sys
import time as clock
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from ..memory import guarded, resident
from ..progress import Figures, Progress
from ..verdict import Limits
from . import _core
from .best import with_best_paths
from .cycles import has_cycle
from .exploration import Exploration, Options, Outcome
from .samples import search_samples
from .states import ALONE, StateSearch
from .traces import MAX_TASKS, search_traces

YIELDS = b"y"
"""What the second process says when it yields; an outcome begins with another byte."""

QUICK = 0.06
"""So many seconds nothing but states is searched, which settles most models."""

PART = 4
"""The rival gets one part in so many of the memory that is left when it begins."""


class _Won(Exception):
    """The other process has finished."""


class Rival:
    """A process of its own with another engine; a context manager that leaves nothing behind."""

    def __init__(
        self, exploration: Exploration, limits: Limits, options: Options, memory: int
    ) -> None:
        """Begin; it may take ``memory`` bytes beside what it shares with this process."""
        self._read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads: none of ours runs here
            self._pid = os.fork()
        if self._pid == 0:
            self._be(exploration, limits, write, options, memory)
        os.close(write)
        self._data = b""
        self.yields = False
        self.outcome: Outcome | None = None

    @staticmethod
    def _be(
        exploration: Exploration, limits: Limits, write: int, options: Options, memory: int
    ) -> None:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _die_with_parent()
            exploration.tables.core.forget()
            limits = limits.with_(max_memory=resident() + memory)

            def tire() -> None:
                os.nice(19)
                os.write(write, YIELDS)

            with guarded(limits.max_memory):
                fresh = Exploration(exploration.build, symmetric=False)
                outcome = _other(fresh, limits, options._replace(progress=None), tire)
            if outcome.code == _core.COMPLETE or outcome.found:
                with os.fdopen(write, "wb") as pipe:
                    pickle.dump(outcome, pipe)
                status = 0
        except BaseException:  # whatever it is, the other engine will meet it, and report it better
            status = 1
        finally:
            os._exit(status)

    def poll(self) -> None:
        """Raise ``_Won`` once the outcome is there; note whether the process yields or is gone."""
        while self._read >= 0 and select.select([self._read], [], [], 0)[0]:
            piece = os.read(self._read, 1 << 16)
            if piece:
                self._data += piece
                self.yields |= self._data.startswith(YIELDS)
                continue
            os.close(self._read)
            self._read = -1
            self.yields = True
            self.outcome = _outcome(self._data.removeprefix(YIELDS))
            if self.outcome is not None:
                raise _Won

    def wait(self, seconds: float, progress: Progress | None) -> None:
        """Wait for the outcome, or until the process gives up."""
        deadline = clock.monotonic() + seconds
        while self._read >= 0 and clock.monotonic() < deadline:
            if progress is not None:
                progress(Figures("waiting for the second engine"))
            select.select([self._read], [], [], min(0.2, max(0.0, deadline - clock.monotonic())))
            self.poll()

    def __enter__(self) -> Rival:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._read >= 0:
            os.close(self._read)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _outcome(data: bytes) -> Outcome | None:
    """What the process had to say; nothing if it was ended before or while it said it."""
    try:
        outcome = pickle.loads(data)
    except (EOFError, pickle.UnpicklingError):
        return None
    assert isinstance(outcome, Outcome)
    return outcome


def _other(
    exploration: Exploration, limits: Limits, options: Options, tire: Callable[[], None]
) -> Outcome:
    """Search the traces; where some run is endless, or there are too many, take random ones."""
    began = clock.monotonic()
    if _finite(exploration):
        outcome = search_traces(exploration, limits, limits.time, options)
        if outcome.code == _core.COMPLETE:
            return with_best_paths(exploration, outcome, limits, began + limits.time)
        exploration = Exploration(exploration.build, symmetric=False)
    left = limits.time - (clock.monotonic() - began)
    return search_samples(exploration, limits, left, options, tire)


def _finite(exploration: Exploration) -> bool:
    """Whether no task is known to come back to where it was."""
    return len(exploration.program.tasks) <= MAX_TASKS and not has_cycle(exploration.tables)


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


def race(exploration: Exploration, limits: Limits, options: Options) -> Outcome:
    """Search with both engines.

    The outcome is that of the first that completes its search or finds something, else that of the
    search of states.
    """
    began = clock.monotonic()
    states = StateSearch(exploration, limits, options)
    if options.resume:
        states.load()
    try:
        code = states.run(min(QUICK, limits.time))
        left = limits.time - (clock.monotonic() - began)
        if code == _core.LIMIT_TIME and left > 0:
            outcome = _race(exploration, limits, options, states, left)
            if outcome is not None:
                states.close(outcome.code)
                return outcome
            code = states.code
    except KeyboardInterrupt:
        code = _core.INTERRUPTED
    except MemoryError:
        code = _core.LIMIT_MEMORY
    states.close(code)
    return states.outcome(code)


def _race(
    exploration: Exploration,
    limits: Limits,
    options: Options,
    states: StateSearch,
    left: float,
) -> Outcome | None:
    """Both at once, for ``left`` seconds; the outcome of the rival if it wins.

    Where the search of states runs out of its part of the memory it waits for the rival, for as
    long as it has taken itself, and then goes on alone with all of it.
    """
    deadline = clock.monotonic() + left
    share = max(0, limits.max_memory - resident()) // PART
    with (
        Rival(exploration, limits.with_(time=left), options, share) as rival,
        states.within(limits.max_memory - share),
    ):

        def watch() -> bool:
            rival.poll()
            if not rival.yields or states.jobs == options.jobs:
                return False
            states.jobs = options.jobs
            return True

        states.rival = watch
        try:
            code = states.run(min(left, ALONE))
            left = deadline - clock.monotonic()
            if code == _core.LIMIT_TIME and left > 0:
                states.jobs = max(1, options.jobs - 1)
                if not options.resume:
                    states.strengthen()
                code = states.run(left)
            if code in (_core.LIMIT_STATES, _core.LIMIT_MEMORY):
                rest = deadline - clock.monotonic()
                alone = code == _core.LIMIT_MEMORY and not states.torn
                rest = min(rest, left - rest) if alone else rest
                rival.wait(rest, options.progress)
        except _Won:
            return rival.outcome
        finally:
            states.rival = None
    left = deadline - clock.monotonic()
    if states.code == _core.LIMIT_MEMORY and not states.torn and left > 0:
        states.run(left)
    return None
