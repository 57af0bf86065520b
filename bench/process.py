"""One bounded run of another program: its output, its time, the memory of all its processes."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

GIB = 1 << 30
SOONEST, EVERY = 0.001, 0.02
"""Seconds between two looks at the memory of a run: at first, as it may be a short one; later."""


class Usage(NamedTuple):
    """What a run took: seconds by the wall and of CPU, bytes resident at the peak.

    ``stopped``: which bound ended it, ``"time"`` or ``"memory"``; empty if it ended by itself.
    """

    output: str
    status: int
    wall: float
    cpu: float
    peak: int
    stopped: str

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.status == 0 and not self.stopped


def _family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    family = [pid]
    for parent in family:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            family += map(int, children.split())
    return family


def _resident(pid: int) -> int:
    """Bytes resident of one process."""
    with contextlib.suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _share(pid: int) -> int:
    """Bytes resident of one process of several: pages that they share are divided among them."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def resident(pid: int) -> int:
    """Bytes resident of a process and its descendants together; 0 where there is no /proc."""
    family = _family(pid)
    return _resident(pid) if len(family) == 1 else sum(map(_share, family))


class _Watch(threading.Thread):
    """Ends a process group at the bound of time or of memory, and keeps the peak of the latter."""

    def __init__(self, pid: int, timeout: float, memory: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._memory = pid, memory
        self._deadline = time.monotonic() + timeout
        self._over = threading.Event()
        self.peak, self.stopped = 0, ""

    def run(self) -> None:
        pause = SOONEST
        while not self._over.wait(pause):
            pause = min(EVERY, 1.3 * pause)
            self.peak = max(self.peak, resident(self._pid))
            if time.monotonic() > self._deadline:
                self.stopped = "time"
            elif self.peak > self._memory:
                self.stopped = "memory"
            if self.stopped:
                kill(self._pid)
                return

    def end(self) -> None:
        self._over.set()
        self.join()


def kill(group: int) -> None:
    """End all processes of the group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def run(
    command: list[str],
    *,
    timeout: float,
    memory: int = 4 * GIB,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Usage:
    """Run ``command`` in a process group of its own; end it at ``timeout`` seconds or ``memory``.

    CPU seconds are those of all processes that were waited for.
    """
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
        watch = _Watch(child.pid, timeout, memory)
        watch.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            kill(child.pid)
            os.waitpid(child.pid, 0)
            raise
        finally:
            wall = time.perf_counter() - begun
            watch.end()
            kill(child.pid)  # what it may have left behind
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    cpu = usage.ru_utime + usage.ru_stime
    peak = _peak(usage.ru_maxrss * 1024, watch.peak)
    return Usage(text, child.returncode, wall, cpu, peak, watch.stopped)


def _peak(accounted: int, seen: int) -> int:
    """Return the peak of a run from what the kernel accounted for it and from what was seen.

    A process inherits the account of the one that starts it, so up to our own peak, what was seen
    is nearer to the truth.
    """
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return max(accounted, seen) if accounted > own or not seen else seen
