"""A puppet: a forked process whose threads do one thing at a time, on command.

What is to be observed is one load, one store, one system call. An interpreter that did it would
fault in pages of its own, hold its lock while it sleeps, and handle signals in its own way. So each
thread of a puppet runs a few instructions of machine code (``_puppet.s``): it waits on a futex in
memory shared with us, does what the slot says, writes the result down, and waits again. Signal
handlers are of the same kind.

A puppet dies with this process, at the latest.
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
from typing import NamedTuple

from .abi import Nr, Unavailable, require_machine, syscall
from .code import CODE, HANDLER, RESTORER
from .proc import Thread

PAGE = 4096
SLOT = 256
SLOTS = 8
"""Threads that a puppet can have."""

LOAD, STORE, CALL = 1, 2, 3
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_SA_SIGINFO, _SA_RESTORER, _SA_RESTART = 4, 0x04000000, 0x10000000
_PR_SET_PDEATHSIG = 1
PATIENCE = 5.0
"""Seconds that a command may take unless told otherwise."""


class TimedOut(Exception):
    """A command has not ended in time; the thread may still be in it."""


class Handled(NamedTuple):
    """What a thread's signal handler has seen: how often it ran, and the last time."""

    times: int
    signal: int
    rip: int
    code: int
    address: int


class Command:
    """One thing that a thread has been told to do, and its result."""

    def __init__(self, slot: Slot, number: int) -> None:
        self._slot = slot
        self._count = number

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._slot.word(4) == self._count

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return the result: a byte loaded, or what a system call returned (``-errno``)."""
        deadline = time.monotonic() + seconds
        while (seen := self._slot.word(4)) != self._count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"no result after {seconds:g} s")
            self._slot.sleep(seen, left)  # not if it ended since: the word is no longer as seen
        return self._slot.number(72)

    @property
    def cycles(self) -> int:
        """Cycles of the time-stamp counter that it took."""
        return self._slot.number(88) - self._slot.number(80)


class Slot:
    """Where a thread finds its command: 256 bytes of shared memory, as ``_puppet.s`` reads them.

    ======  ========================  ======  =====================================
    offset  what                      offset  what
    ======  ========================  ======  =====================================
    0       number of the command     96      address of the gate, 0 for none
    4       number of the last done   104     loops to wait behind the gate
    8       what to do                112     how often a handler ran
    16      seven arguments           116     its signal, then rip, code, address
    72      result                    80, 88  time before and after
    ======  ========================  ======  =====================================
    """

    def __init__(self, memory: mmap.mmap, base: int, index: int) -> None:
        self._memory = memory
        self.address = base + index * SLOT
        self._offset = index * SLOT

    def word(self, offset: int) -> int:
        """The 32-bit word at an offset."""
        return int(struct.unpack_from("=I", self._memory, self._offset + offset)[0])

    def number(self, offset: int) -> int:
        """The signed 64-bit number at an offset."""
        return int(struct.unpack_from("=q", self._memory, self._offset + offset)[0])

    def put(self, form: str, offset: int, *values: int) -> None:
        """Write numbers at an offset."""
        struct.pack_into(form, self._memory, self._offset + offset, *values)

    @property
    def started(self) -> bool:
        """Whether the thread has begun to do its command."""
        return self.number(80) != 0

    def forget(self) -> None:
        """Forget which signals were handled."""
        self.put("=IIqIIq", 112, 0, 0, 0, 0, 0, 0)

    def sleep(self, seen: int, seconds: float) -> None:
        """Sleep until ``done`` is no longer ``seen``, or for a time."""
        whole = int(seconds)
        limit = struct.pack("=qq", whole, int((seconds - whole) * 1e9))
        room = ctypes.create_string_buffer(limit)
        with suppress(OSError):
            syscall(Nr.FUTEX, self.address + 4, _FUTEX_WAIT, seen, ctypes.addressof(room))

    def wake(self) -> None:
        """Wake the thread that waits for a command."""
        syscall(Nr.FUTEX, self.address, _FUTEX_WAKE, 1)


class PuppetThread:
    """A thread of a puppet."""

    def __init__(self, puppet: Puppet, index: int) -> None:
        self.puppet = puppet
        self.index = index
        self.slot = puppet.slots[index]
        self.tid = 0

    def _start(self, what: int, arguments: tuple[int, ...], gate: bool, delay: int) -> Command:
        slot, number = self.slot, self.slot.word(0) + 1
        if slot.word(0) != slot.word(4):
            raise RuntimeError(f"thread {self.index} is still at its last command")
        padded = (*arguments, *(0,) * (7 - len(arguments)))
        slot.put("=Q7Q", 8, what, *(a & (1 << 64) - 1 for a in padded))
        slot.put("=Q", 80, 0)
        slot.put("=QQ", 96, self.puppet.gate_address if gate else 0, delay)
        slot.put("=I", 0, number)
        slot.wake()
        return Command(slot, number)

    def load(self, address: int, *, gate: bool = False, delay: int = 0) -> Command:
        """Load a byte; behind a ``gate`` not before that is open, and ``delay`` loops later."""
        return self._start(LOAD, (address,), gate, delay)

    def store(self, address: int, value: int, *, gate: bool = False, delay: int = 0) -> Command:
        """Store a byte."""
        return self._start(STORE, (address, value), gate, delay)

    def syscall(self, number: int, *args: int, gate: bool = False, delay: int = 0) -> Command:
        """Do a system call."""
        return self._start(CALL, (number, *args), gate, delay)

    def call(self, number: int, *args: int) -> int:
        """Do a system call, wait for it, and raise ``OSError`` if it failed."""
        result = self.syscall(number, *args).wait()
        if -4096 < result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def kill(self, number: int) -> None:
        """Send this thread a signal."""
        syscall(Nr.TGKILL, self.puppet.pid, self.tid, number)

    @property
    def handled(self) -> Handled:
        """What its signal handler has seen."""
        slot = self.slot
        return Handled(
            slot.word(112), slot.word(116), slot.number(120), slot.word(128), slot.number(136)
        )

    @property
    def proc(self) -> Thread:
        """What ``/proc`` says of it."""
        return Thread(self.puppet.pid, self.tid)


class Puppet:
    """A forked process with ``threads`` threads; a context manager that leaves nothing behind.

    ``scratch`` is an address at which it and this process share memory. Its threads wait at the
    ``gate`` of another puppet if told so, which must be older.
    """

    def __init__(
        self, threads: int = 1, *, cpus: tuple[int, ...] = (), gate: Puppet | None = None
    ) -> None:
        require_machine()
        if not 1 <= threads <= SLOTS:
            raise ValueError(f"a puppet has 1 to {SLOTS} threads")
        self._memory = mmap.mmap(-1, 16 * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.slots = [Slot(self._memory, base, index) for index in range(threads)]
        self.gate_address: int = gate.gate_address if gate else base + SLOTS * SLOT
        self.scratch = base + PAGE
        self._code = _executable()
        self.threads = [PuppetThread(self, index) for index in range(threads)]
        self.pid = os.fork()
        if self.pid == 0:
            self._be(cpus)
        self._fds: list[int] = []
        try:
            for thread in self.threads:
                thread.tid = thread.call(Nr.GETTID)
        except BaseException:
            self.close()
            raise

    def _be(self, cpus: tuple[int, ...]) -> None:
        """Live as a puppet; never returns."""
        try:
            syscall(Nr.PRCTL, _PR_SET_PDEATHSIG, signal.SIGKILL)
            for number in range(1, 32):
                if number not in (signal.SIGKILL, signal.SIGSTOP):
                    signal.signal(number, signal.SIG_DFL)
            if cpus:
                os.sched_setaffinity(0, cpus)
            run = ctypes.CFUNCTYPE(None, ctypes.c_long)(self._code)
            for slot in self.slots[1:]:
                threading.Thread(target=run, args=(slot.address,), daemon=True).start()
            run(self.slots[0].address)
        finally:
            os._exit(0)

    def __enter__(self) -> Puppet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill it, wait for its end, and close what was taken from it."""
        for fd in self._fds:
            with suppress(OSError):
                os.close(fd)
        self._fds.clear()
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0

    def thread(self, index: int = 0) -> PuppetThread:
        """Return a thread."""
        return self.threads[index]

    def open_gate(self) -> None:
        """Let the threads go on that wait at the gate, all at once."""
        self._memory[SLOTS * SLOT : SLOTS * SLOT + 4] = b"\1\0\0\0"

    def close_gate(self) -> None:
        """Let the next ones wait."""
        self._memory[SLOTS * SLOT : SLOTS * SLOT + 4] = b"\0\0\0\0"

    def write_scratch(self, offset: int, data: bytes) -> int:
        """Put data into the shared memory; returns its address."""
        self._memory[PAGE + offset : PAGE + offset + len(data)] = data
        return self.scratch + offset

    def read_scratch(self, offset: int, size: int) -> bytes:
        """Get data from the shared memory."""
        return bytes(self._memory[PAGE + offset : PAGE + offset + size])

    def map(
        self,
        pages: int = 1,
        *,
        prot: int = mmap.PROT_READ | mmap.PROT_WRITE,
        shared: bool = False,
        fd: int = -1,
    ) -> int:
        """Map memory in the puppet, anonymous if there is no ``fd``; returns its address there."""
        flags = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        flags |= mmap.MAP_ANONYMOUS if fd < 0 else 0
        return self.thread().call(Nr.MMAP, 0, pages * PAGE, prot, flags, fd, 0)

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
        """Install the handler that writes down what it sees."""
        flags = _SA_SIGINFO | _SA_RESTORER | (_SA_RESTART if restart else 0)
        action = struct.pack("=4Q", self._code + HANDLER, flags, self._code + RESTORER, 0)
        self.thread().call(Nr.RT_SIGACTION, number, self.write_scratch(0, action), 0, 8)

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

    def give_back(self, fd: int) -> None:
        """Close a descriptor that was taken."""
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
