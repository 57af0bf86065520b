"""Has a thread done what it was told, or does it sleep in it? What forced order needs to know.

``/proc/TID/syscall`` is the judge where it can be read: it waits until the thread is off its CPU
and says ``running`` where the state has changed meanwhile (``task_current_syscall``,
lib/syscall.c). A state letter alone is not enough, for a thread sets it before it looks a last
time whether it must sleep.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import NamedTuple

from .proc import Thread, functions
from .slot import Slot

WAITS_FOR_US = frozenset({"handle_userfault", "userfaultfd_event_wait_completion"})
"""Functions that do not go on by themselves: one look at a stack with such a one is enough."""

WAITS_FOR_INPUT = frozenset({"pipe_read", "anon_pipe_read", "futex_wait_queue"})
"""The same, of who sleeps interruptibly; else it is a lock of theirs that is waited for."""

PASSING = frozenset(
    {
        "__iomap_dio_rw",
        "submit_bio_wait",
        "msleep",
        "__wait_rcu_gp",
        "vfs_coredump",
        "do_coredump",
        "do_exit",
    }
)
"""Functions that do go on by themselves, if one gives them time."""

PAUSE, LOCK_PAUSE = 0.0003, 0.02
"""Seconds for which a sleeper must not change: an interruptible one, and any other.

The latter may wait for a lock, whose holder may be asleep as well, or only have lost its CPU. No
name tells: stacks leave out the functions of locks and of the scheduler.
"""

FILES = ("syscall", "stat", "stack", "wchan", "schedstat")

_Look = tuple[bytes, bytes, str, tuple[str, ...]]


class Settled(NamedTuple):
    """A thread that has ``done`` its command, or its ``state`` and kernel ``stack`` in it.

    ``state`` is S or D asleep, T stopped, Z or X dead, R where it still ran when the time was over
    (it spins, if the time was long enough); empty if done. ``stack`` begins with the innermost
    function; where stacks cannot be read it has the one that ``wchan`` names.
    """

    done: bool
    state: str
    stack: tuple[str, ...]

    def waits_in(self, function: str) -> bool:
        """Whether it sleeps in a function."""
        return self.state in ("S", "D") and function in self.stack


class Watch:
    """Open files of ``/proc`` on one thread, read again and again from their beginning.

    ``files`` are those to use, of which some may be forbidden or missing; ``stat`` never is.
    """

    def __init__(self, thread: Thread, files: tuple[str, ...] = FILES) -> None:
        self.thread = thread
        self._fds: dict[str, int] = {}
        for name in files:
            with suppress(OSError):
                fd = os.open(thread.folder / name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.pread(fd, 4096, 0)
                except OSError:
                    os.close(fd)
                else:
                    self._fds[name] = fd
        if "stack" in self._fds and "wchan" in self._fds:
            os.close(self._fds.pop("wchan"))

    def close(self) -> None:
        """Close the files."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def _read(self, name: str) -> bytes:
        fd = self._fds.get(name)
        if fd is None:
            return b""
        try:
            return os.pread(fd, 4096, 0)
        except OSError:
            return b""

    @property
    def state(self) -> str:
        """Its state, a letter; X if it is gone."""
        text = self._read("stat")
        at = text.rfind(b") ") + 2
        return text[at : at + 1].decode() or "X"

    @property
    def stack(self) -> tuple[str, ...]:
        """Its kernel stack, or the function of ``wchan``."""
        if "stack" in self._fds:
            return functions(self._read("stack").decode())
        where = self._read("wchan").decode()
        return (where,) if where not in ("", "0") else ()

    def _asleep(self) -> _Look | None:
        """What must stay the same while it sleeps; None if it does not."""
        where = self._read("syscall")
        if where.startswith(b"running"):
            return None
        state = self.state
        if state == "R":
            return None
        return where, self._read("schedstat"), state, self.stack

    def settled(self, slot: Slot, timeout: float) -> Settled:
        """Wait until the last command in a slot is done, or its thread sleeps in it."""
        number = slot.word(0)
        if slot.look(number, 60):
            return Settled(True, "", ())
        start, before, since, looked = time.monotonic(), None, 0.0, 0
        while slot.done != number:
            if slot.begun != number and (looked := looked + 1) % 64:
                os.sched_yield()  # it has still to wake up, unless it is stopped or dead
                continue
            now = self._asleep()
            if now != before:
                before, since = now, time.monotonic()
            if now is None or (slot.begun != number and now[2] in ("S", "D")):
                before = None
                os.sched_yield()
            elif now[2] not in ("S", "D") or self._stays(now, time.monotonic() - since):
                if slot.done == number:
                    break
                return Settled(False, now[2], now[3])
            else:
                slot.sleep(slot.done, PAUSE)
            if time.monotonic() > start + timeout and slot.done != number:
                return Settled(False, now[2], now[3]) if now else Settled(False, "R", ())
        return Settled(True, "", ())

    def _stays(self, now: _Look, seconds: float) -> bool:
        """Whether who has slept for a time will sleep until somebody does something."""
        _, _, state, stack = now
        exact = "syscall" in self._fds
        if exact and not WAITS_FOR_US.isdisjoint(stack):
            return True
        if not PASSING.isdisjoint(stack):
            return False
        if state != "S":
            return seconds >= LOCK_PAUSE
        return (exact and not WAITS_FOR_INPUT.isdisjoint(stack)) or seconds >= PAUSE
