"""One bounded run of another program: its output, time and peak memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """What a process took: seconds by the wall and of CPU, bytes resident at the peak."""

    output: str
    status: int
    wall: float
    cpu: float
    peak: int
    timed_out: bool

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.status == 0 and not self.timed_out


def _kill(pid: int, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def run(command: list[str], *, timeout: float, cwd: Path | None = None) -> Usage:
    """Run ``command`` in a process group of its own; end it after ``timeout`` seconds."""
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            start_new_session=True,
        )
        late = threading.Event()
        alarm = threading.Timer(timeout, _kill, (child.pid, late))
        alarm.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            _kill(child.pid, late)
            os.waitpid(child.pid, 0)
            raise
        finally:
            alarm.cancel()
        wall = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    cpu = usage.ru_utime + usage.ru_stime
    return Usage(text, child.returncode, wall, cpu, usage.ru_maxrss * 1024, late.is_set())
