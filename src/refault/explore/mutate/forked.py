"""Small jobs, each in a process of its own: what one of them does to itself harms no other.

Whoever calls ``forked`` must run no threads that hold locks, for the processes are forked.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import time as clock
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

PATIENCE = 5.0
"""Seconds that a job may take beyond the bound that it should itself have kept."""


class Lost(NamedTuple):
    """A job that gave no result, and why: its process is ``dead``, or was killed as overdue."""

    reason: str
    dead: bool


class _Job(NamedTuple):
    number: int
    process: Any
    overdue: float


def processors() -> int:
    """How many jobs can run at the same time."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def forked(
    work: Callable[[int], Any], count: int, *, jobs: int, seconds: float, deadline: float
) -> Iterator[Any]:
    """Yield ``work(0)``, ``work(1)``, … in this order, as far as ``deadline`` allows.

    A job should end within ``seconds``; one that does not is killed. ``deadline`` is a time of
    ``time.monotonic()``. Without ``fork`` the jobs are done here, one after the other.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        for number in range(count):
            if clock.monotonic() > deadline:
                return
            yield work(number)
        return
    pool = _Pool(work, seconds)
    try:
        yield from pool.run(count, jobs, deadline)
    finally:
        pool.kill()


class _Pool:
    def __init__(self, work: Callable[[int], Any], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._context = multiprocessing.get_context("fork")
        self._running: dict[Connection, _Job] = {}
        self._results: dict[int, Any] = {}

    def run(self, count: int, jobs: int, deadline: float) -> Iterator[Any]:
        """Keep ``jobs`` processes going and yield what they give, in order."""
        started = given = 0
        while True:
            while started < count and len(self._running) < jobs and clock.monotonic() < deadline:
                self._start(started)
                started += 1
            while given in self._results:
                yield self._results.pop(given)
                given += 1
            if not self._running:
                return
            self._collect(min(deadline + PATIENCE, *(j.overdue for j in self._running.values())))

    def _start(self, number: int) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_be, args=(self._work, number, theirs), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # threads: none holds a lock
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        overdue = clock.monotonic() + self._seconds + PATIENCE
        self._running[ours] = _Job(number, process, overdue)

    def _collect(self, until: float) -> None:
        """Wait for a result, or until some job is overdue."""
        ready = multiprocessing.connection.wait(
            list(self._running), max(0.0, until - clock.monotonic())
        )
        for pipe in ready:
            assert isinstance(pipe, Connection)
            self._results[self._running[pipe].number] = self._received(pipe)
            self._end(pipe)
        for pipe, job in list(self._running.items()):
            if clock.monotonic() > min(job.overdue, until):
                self._results[job.number] = Lost("it does not end", dead=False)
                self._end(pipe)

    def _received(self, pipe: Connection) -> Any:
        try:
            return pipe.recv()
        except EOFError:
            process = self._running[pipe].process
            process.join(PATIENCE)
            return Lost(f"the explorer died ({_status(process.exitcode)})", dead=True)

    def _end(self, pipe: Connection) -> None:
        job = self._running.pop(pipe)
        pipe.close()
        job.process.join(0.2)
        if job.process.is_alive():
            job.process.kill()
            job.process.join()

    def kill(self) -> None:
        """End whatever still runs."""
        for job in self._running.values():
            job.process.kill()
        for pipe in list(self._running):
            self._end(pipe)


def _be(work: Callable[[int], Any], number: int, pipe: Connection) -> None:
    """Do a job in its process; Ctrl-C, blocked since before the fork, is for the parent only."""
    with suppress(BrokenPipeError):
        pipe.send(work(number))


def _status(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    return signal.Signals(-code).name
