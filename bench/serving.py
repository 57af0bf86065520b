"""Missing pages served per second, by ``live/serve.py`` and by the same loop in C.

``python -m bench.serving`` compiles the C loop, runs both in turn on the same faulting puppet, and
prints medians and the median of the ratios pair by pair. It needs userfaultfd, two CPUs and gcc;
with the right to it everything runs at real-time priority.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from refault.errors import UserError
from refault.live import operations as do
from refault.live.abi import Unavailable
from refault.live.puppet import PAGE, Puppet
from refault.live.serve import PageServer
from refault.live.userfaultfd import Userfaultfd

SOURCE = Path(__file__).with_suffix(".c")
PRIORITY = 5
TARGET = 0.85


class Case(NamedTuple):
    """What is measured: pages per copy, threads that fault, whether all share one CPU."""

    chunk: int
    threads: int
    one_cpu: bool

    def __str__(self) -> str:
        where = "same CPU" if self.one_cpu else "two CPUs"
        pages = "1 page" if self.chunk == 1 else f"{self.chunk} pages"
        who = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{where}, {pages} a copy, {who}"


CASES = [
    Case(chunk, threads, one_cpu)
    for chunk, threads in ((1, 1), (16, 1), (1, 4))
    for one_cpu in (True, False)
]


class Stage:
    """A puppet with memory of which every page is missing, and a userfaultfd for it."""

    def __init__(self, case: Case, cpu: int, pages: int) -> None:
        self.case, self.cpu = case, cpu
        self.pages = pages * case.chunk // case.threads
        self.puppet = Puppet(case.threads, cpus=(cpu,))
        align = case.chunk * PAGE
        self.size = self.pages * PAGE * case.threads
        start = self.puppet.map(self.size // PAGE + case.chunk)
        self.start = start + -start % align
        do.advise(self.puppet.thread(), self.start, self.size, do.Advice.NOHUGEPAGE).wait()
        self.uffd = Userfaultfd.of(self.puppet)
        self.uffd.register(self.start, self.size)

    def run(self) -> float:
        """Touch every page; returns pages per second. Whoever serves must be there."""
        begin = time.perf_counter()
        length = self.pages * PAGE
        touches = [
            thread.touch(self.start + index * length, self.pages)
            for index, thread in enumerate(self.puppet.threads)
        ]
        last = {touch.wait(60) for touch in touches}
        took = time.perf_counter() - begin
        if last != {ord("x")}:
            raise RuntimeError(f"the pages hold {last}")
        do.advise(self.puppet.thread(), self.start, self.size, do.Advice.DONTNEED).wait(60)
        return self.size / PAGE / took


@contextmanager
def python(stage: Stage, cpu: int) -> Iterator[None]:
    """Serve by the product's own monitor."""
    with PageServer(stage.uffd, b"x" * PAGE * stage.case.chunk, cpus=(cpu,)):
        yield


@contextmanager
def c(stage: Stage, cpu: int, binary: Path) -> Iterator[None]:
    """Serve by the loop in C."""
    fd = stage.uffd.fd
    os.set_blocking(fd, True)
    command = [str(binary), str(fd), str(stage.case.chunk), str(cpu)]
    with subprocess.Popen(command, pass_fds=(fd,), stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            yield
        finally:
            server.kill()


def measure(case: Case, pairs: int, pages: int, binary: Path) -> tuple[float, float, float]:
    """Return medians of pages per second, Python's and C's, and of the ratio of each pair."""
    here, there = sorted(os.sched_getaffinity(0))[:2]
    cpu = here if case.one_cpu else there
    ours: list[float] = []
    theirs: list[float] = []
    stage = Stage(case, here, pages)
    with stage.puppet:
        for number in range(pairs + 1):
            for side in ("python", "c") if number % 2 else ("c", "python"):
                with python(stage, cpu) if side == "python" else c(stage, cpu, binary):
                    rate = stage.run()
                if number:  # the first pair warms up
                    (ours if side == "python" else theirs).append(rate)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ours), statistics.median(theirs), ratio


def main() -> int:
    """Measure every case; 1 if Python is slower than the target anywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="interleaved pairs of runs")
    parser.add_argument("--pages", type=int, default=20000, help="copies of one run")
    asked = parser.parse_args()
    priority = f"SCHED_FIFO {PRIORITY}"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        priority = "ordinary priority"
    try:
        Userfaultfd.open().close()
        if len(os.sched_getaffinity(0)) < 2:
            raise Unavailable("there is only one CPU", "run on a machine with two")
        with tempfile.TemporaryDirectory() as folder:
            binary = Path(folder) / "serving"
            subprocess.run(["gcc", "-O2", "-Wall", "-o", binary, SOURCE], check=True)
            return table(asked.pairs, asked.pages, binary, priority)
    except (UserError, FileNotFoundError) as error:
        print(getattr(error, "message", error), getattr(error, "remedy", ""), file=sys.stderr)
        return 2


def table(pairs: int, pages: int, binary: Path, priority: str) -> int:
    """Print the table, a line as soon as it is measured."""
    print(f"Linux {platform.release()}, CPython {platform.python_version()}, {priority}")
    print(f"pages per second, medians of {pairs} interleaved pairs, {pages} copies each\n")
    print(f"{'':36}{'Python':>9}{'C':>9}{'ratio':>7}")
    missed = 0
    for case in CASES:
        ours, theirs, ratio = measure(case, pairs, pages, binary)
        print(f"{case!s:36}{ours:9.0f}{theirs:9.0f}{ratio:7.2f}", flush=True)
        missed += ratio < TARGET
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
