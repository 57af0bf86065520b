"""The birth and the end of a process that must not outlive us."""

from __future__ import annotations

import os
import resource
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress

from .abi import Nr, syscall

_PR_SET_PDEATHSIG = 1


def fork(live: Callable[[], None], keep: tuple[int, ...] = ()) -> int:
    """Fork a child that lives as told, in a process group of its own; returns its id.

    It is killed when the thread that called this ends. Of our descriptors it has the standard ones
    and those to ``keep``; no signal is handled or blocked in it, and it leaves no core behind.
    Signals are held back meanwhile: Ctrl-C must not find a child that still is one of us.
    """
    parent, old = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():  # that we have threads: the child needs no lock of theirs
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _become(live, parent, keep)
        with suppress(OSError):
            os.setpgid(pid, pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    return pid


def _become(live: Callable[[], None], parent: int, keep: tuple[int, ...]) -> None:
    """Leave everything of the parent behind, and live; never returns."""
    try:
        os.setpgid(0, 0)
        syscall(Nr.PRCTL, _PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        first = 3
        for fd in (*sorted(fd for fd in keep if fd > 2), 1 << 20):
            os.closerange(first, fd)
            first = fd + 1
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in range(1, signal.SIGSYS + 1):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        live()
    finally:
        os._exit(0)


def end(group: int, seconds: float) -> bool:
    """Kill a process group of our children and wait for each; False if they do not end in time."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    deadline, pause = time.monotonic() + seconds, 0.00005
    with suppress(ChildProcessError):
        while True:
            if os.waitpid(-group, os.WNOHANG)[0]:
                continue
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.005)
    return True
