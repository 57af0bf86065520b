"""A puppet: a forked process whose threads do one thing at a time, on command.

What is to be observed is one load, one store, one system call. An interpreter that did it would
fault in pages of its own, hold its lock while it sleeps, and handle signals in its own way. So each
thread of a puppet runs a few instructions of machine code (``_puppet.s``): it waits on a futex in
memory shared with us, does what the slot says, writes the result down, and waits again. Signal
handlers are of the same kind.

A puppet and all that it has forked die with the thread that made it, at the latest; everything that
waits for them waits for a time. They are a process group, and all of them our children: to close is
to kill the group and to wait for each.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from . import process
from .abi import Nr, Unavailable, require_machine, syscall
from .code import CODE, HANDLER, RESTORER
from .settle import Settled
from .slot import PATIENCE, SLOT, Command, Delivery, Died, Handled, Point, Slot, TimedOut
from .thread import Fork, PuppetThread

__all__ = [
    "PAGE",
    "PATIENCE",
    "SLOTS",
    "Command",
    "Delivery",
    "Died",
    "Fork",
    "Handled",
    "Point",
    "Puppet",
    "PuppetThread",
    "Settled",
    "TimedOut",
]

PAGE = 4096
SLOTS = 16
"""Threads that a puppet can have, those of forked processes included."""

SCRATCH_PAGES = 16
_SLOT_PAGES = SLOTS * SLOT // PAGE
_SA_SIGINFO, _SA_RESTORER, _SA_RESTART = 4, 0x04000000, 0x10000000
_MAP_FIXED_NOREPLACE = 0x100000


class Puppet:
    """A forked process with ``threads`` threads; a context manager that leaves nothing behind.

    ``cpus`` are those that it may use. ``looks`` is how often an idle thread looks for a command
    before it sleeps, which answers faster and burns a CPU meanwhile. Of our descriptors it has the
    standard ones and ``keep``. ``scratch`` is an address at which it and this process share
    ``SCRATCH_PAGES`` pages of memory. Its threads wait at the ``gate`` of another puppet if told
    so, which must be older and is then opened for both.
    """

    def __init__(
        self,
        threads: int = 1,
        *,
        cpus: tuple[int, ...] = (),
        looks: int = 0,
        keep: tuple[int, ...] = (),
        gate: Puppet | None = None,
    ) -> None:
        require_machine()
        if not 1 <= threads <= SLOTS:
            raise ValueError(f"a puppet has 1 to {SLOTS} threads")
        self._memory = mmap.mmap(-1, (_SLOT_PAGES + 1 + SCRATCH_PAGES) * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.scratch = base + (_SLOT_PAGES + 1) * PAGE
        self.gate_address: int = gate.gate_address if gate else self.scratch - PAGE
        self.code = _executable()
        self._slots = [Slot(self._memory, base, index) for index in range(SLOTS)]
        for slot in self._slots:
            slot.put("=I", 152, looks)
        self.threads = [PuppetThread(self, n, self._slots[n]) for n in range(threads)]
        self.children: list[PuppetThread] = []
        self._fds: list[int] = []
        self.pid = 0
        starts = [thread.slot.address for thread in self.threads]
        self.pid = process.fork(lambda: self._be(starts, cpus), keep)
        try:
            for thread in self.threads:
                thread.pid = self.pid
                thread.tid = thread.call(Nr.GETTID)
        except BaseException:
            self.close()
            raise

    def _be(self, slots: list[int], cpus: tuple[int, ...]) -> None:
        """Live as a puppet."""
        if cpus:
            os.sched_setaffinity(0, cpus)
        run = ctypes.CFUNCTYPE(None, ctypes.c_long)(self.code)
        for slot in slots[1:]:
            threading.Thread(target=run, args=(slot,), daemon=True).start()
        run(slots[0])

    def __enter__(self) -> Puppet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, seconds: float = PATIENCE) -> None:
        """Close what was taken from it, kill it and its children, and wait for their end.

        ``TimedOut`` if the kernel does not let them go in time.
        """
        old = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            for fd in self._fds:
                with suppress(OSError):
                    os.close(fd)
            self._fds.clear()
            for thread in (*self.threads, *self.children):
                thread.forget()
            if self.pid and not process.end(self.pid, seconds):
                raise TimedOut(f"{self.pid} does not end, {seconds:g} s after SIGKILL")
            self.pid = 0
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def thread(self, index: int = 0) -> PuppetThread:
        """Return a thread by its number."""
        return self.threads[index]

    def spare(self) -> PuppetThread:
        """Return a thread to be, for who forks."""
        index = len(self.threads) + len(self.children)
        if index == SLOTS:
            raise ValueError(f"a puppet has {SLOTS} threads at most, with those it forked")
        self.children.append(PuppetThread(self, index, self._slots[index]))
        return self.children[-1]

    def settled(self, thread: PuppetThread, timeout: float = PATIENCE) -> Settled:
        """Wait until a thread has done its command, or sleeps in it, or a time has passed."""
        return thread.settled(timeout)

    def open_gate(self) -> None:
        """Let the threads go on that wait at the gate, all at once."""
        self._gate(1)

    def close_gate(self) -> None:
        """Let the next ones wait."""
        self._gate(0)

    def _gate(self, value: int) -> None:
        struct.pack_into("=I", self._memory, _SLOT_PAGES * PAGE, value)

    def write_scratch(self, offset: int, data: bytes) -> int:
        """Put data into the shared memory; returns its address."""
        at = (_SLOT_PAGES + 1) * PAGE + offset
        self._memory[at : at + len(data)] = data
        return self.scratch + offset

    def read_scratch(self, offset: int, size: int) -> bytes:
        """Get data from the shared memory."""
        at = (_SLOT_PAGES + 1) * PAGE + offset
        return bytes(self._memory[at : at + size])

    def map(
        self,
        pages: int = 1,
        *,
        prot: int = mmap.PROT_READ | mmap.PROT_WRITE,
        shared: bool = False,
        fd: int = -1,
        flags: int = 0,
        at: int = 0,
    ) -> int:
        """Map memory in the puppet, anonymous if there is no ``fd``; returns its address there.

        ``flags`` come on top: ``MAP_HUGETLB``, ``MAP_NORESERVE`` and such. ``at`` is an address at
        which nothing is yet, 0 to leave that to the kernel.
        """
        flags |= mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        flags |= mmap.MAP_ANONYMOUS if fd < 0 else 0
        flags |= _MAP_FIXED_NOREPLACE if at else 0
        return self.thread().call(Nr.MMAP, at, pages * PAGE, prot, flags, fd, 0)

    def peek(self, address: int, size: int) -> bytes:
        """Read memory of the puppet, as a debugger does: what is missing is filled."""
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)

    def poke(self, address: int, data: bytes) -> None:
        """Write memory of the puppet, as a debugger does."""
        with Path(f"/proc/{self.pid}/mem").open("wb", buffering=0) as memory:
            memory.seek(address)
            memory.write(data)

    def handle(self, number: int, *, restart: bool = False) -> None:
        """Install the handler that writes down what it sees, with all signals blocked in it."""
        flags = _SA_SIGINFO | _SA_RESTORER | (_SA_RESTART if restart else 0)
        action = struct.pack("=4Q", self.code + HANDLER, flags, self.code + RESTORER, (1 << 64) - 1)
        main = self.thread()
        main.call(Nr.RT_SIGACTION, number, main.slot.room(action), 0, 8)

    def take(self, fd: int) -> int:
        """Return a copy of a descriptor of the puppet, to be closed with it."""
        pidfd = syscall(Nr.PIDFD_OPEN, self.pid, 0)
        try:
            self._fds.append(syscall(Nr.PIDFD_GETFD, pidfd, fd, 0))
        except OSError as error:
            raise Unavailable(
                f"pidfd_getfd: {error.strerror}", "this needs Linux 5.6 and the right to trace"
            ) from error
        finally:
            os.close(pidfd)
        return self._fds[-1]

    def release(self, fd: int) -> None:
        """Close what was taken, once."""
        if fd in self._fds:
            self._fds.remove(fd)
            os.close(fd)

    def wait_until(self, test: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until a test is true; ``TimedOut`` if it is not in time."""
        deadline = time.monotonic() + seconds
        while not test():
            if time.monotonic() > deadline:
                raise TimedOut(f"not so after {seconds:g} s")
            time.sleep(0.0005)


_kept: list[mmap.mmap] = []


def _executable() -> int:
    """The address of the machine code, mapped once for all puppets."""
    if not _kept:
        memory = mmap.mmap(-1, PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(CODE)
        _kept.append(memory)
    return ctypes.addressof(ctypes.c_char.from_buffer(_kept[0]))
