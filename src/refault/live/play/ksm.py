"""Merging of equal pages, which is a kernel thread's work and has to be asked for in sysfs."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..abi import Nr, Unavailable
from ..operations import Advice
from ..proc import page_frame
from ..puppet import PAGE, Puppet

KSM = Path("/sys/kernel/mm/ksm")
QUICK = {"pages_to_scan": "2000", "sleep_millisecs": "10", "run": "1"}
"""Virtual machines may have much memory to scan, so ``ksmd`` is told to be quick about it."""

PATIENCE = 5.0
"""Seconds that ``ksmd`` is given to find a pair of pages."""


def merge(puppet: Puppet, page: int, byte: int) -> bool:
    """Have a page of equal bytes replaced by a merged one; False if that does not happen.

    Of two pages that are alike one is kept where it is and becomes the merged one, so two others
    are merged first. ``ksmd`` runs meanwhile, for the whole machine.
    """
    main, others = puppet.thread(), puppet.map(2)
    puppet.poke(others, bytes([byte]) * 2 * PAGE)
    with _ksmd_runs():
        main.call(Nr.MADVISE, others, 2 * PAGE, Advice.MERGEABLE)
        merged = _become_one(puppet.pid, others, others + PAGE)
        main.call(Nr.MADVISE, page, PAGE, Advice.MERGEABLE)
        merged = merged and _become_one(puppet.pid, others, page)
    main.call(Nr.MUNMAP, others, 2 * PAGE)
    return merged


def _become_one(pid: int, page: int, other: int) -> bool:
    """Wait until two addresses have the same frame."""
    deadline = time.monotonic() + PATIENCE
    while not (frame := page_frame(pid, page)) or frame != page_frame(pid, other):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def _ksmd_runs() -> Iterator[None]:
    """Have ``ksmd`` run, one of us at a time, and leave the settings as they were."""
    try:
        lock = os.open(KSM / "run", os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {name: (KSM / name).read_text() for name in reversed(QUICK)}
        done, guard = _guard(before)
        _write(QUICK)
    except OSError as error:
        raise Unavailable(
            f"{KSM}: {error.strerror}", "be root, on a kernel with CONFIG_KSM"
        ) from error
    try:
        yield
    finally:
        os.close(done)
        os.waitpid(guard, 0)
        os.close(lock)


def _guard(before: dict[str, str]) -> tuple[int, int]:
    """Fork somebody who restores the settings when we are done or dead, whatever killed us.

    Returns the descriptor to be closed then, and the process id to wait for.
    """
    gone, done = os.pipe2(os.O_CLOEXEC)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        guard = os.fork()
        if guard == 0:
            try:
                os.setsid()
                os.close(done)
                os.read(gone, 1)
                _write(before)
            finally:
                os._exit(0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    os.close(gone)
    return done, guard


def _write(settings: dict[str, str]) -> None:
    for name, value in settings.items():
        (KSM / name).write_text(value)
