"""A thread of a puppet: what it can be told to do, and what can be seen of it."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from .abi import Nr, syscall
from .proc import PAGE, Thread
from .settle import Settled, Watch
from .slot import PATIENCE, Command, Delivery, Handled, Slot, TimedOut

if TYPE_CHECKING:
    from .puppet import Puppet

LOAD, STORE, CALL, FORK, COPY, ADD, TOUCH = range(1, 8)
_BLOCK, _UNBLOCK = 0, 1


class Fork(NamedTuple):
    """A fork that has begun: its command (the result is the child's process id), and the child."""

    command: Command
    child: PuppetThread

    def wait(self, seconds: float = PATIENCE) -> PuppetThread:
        """Return the child, which waits for commands."""
        result = self.command.wait(seconds)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        child, deadline = self.child, time.monotonic() + seconds
        child.pid = child.tid = result
        while child.slot.word(148) != result:
            if time.monotonic() > deadline:
                raise TimedOut(child.died() or f"the child is not there after {seconds:g} s")
            os.sched_yield()
        return child


class PuppetThread:
    """A thread of a puppet, or the only thread of a process that one has forked."""

    def __init__(self, puppet: Puppet, index: int, slot: Slot) -> None:
        self.puppet = puppet
        self.index = index
        self.slot = slot
        self.pid = self.tid = 0
        self._watch: Watch | None = None

    def _start(self, what: int, arguments: tuple[int, ...], gate: bool, delay: int) -> Command:
        slot = self.slot
        if slot.busy:
            raise RuntimeError(f"thread {self.index} is still at its last command")
        number = slot.begin(what, arguments, self.puppet.gate_address if gate else 0, delay)
        return Command(slot, number, self.died)

    def load(self, address: int, *, gate: bool = False, delay: int = 0) -> Command:
        """Load a byte; behind a ``gate`` not before that is open, and ``delay`` loops later."""
        return self._start(LOAD, (address,), gate, delay)

    def store(self, address: int, value: int, *, gate: bool = False, delay: int = 0) -> Command:
        """Store a byte."""
        return self._start(STORE, (address, value), gate, delay)

    def add(self, address: int, value: int, *, gate: bool = False, delay: int = 0) -> Command:
        """Add to a byte, atomically; the result is what it was."""
        return self._start(ADD, (address, value), gate, delay)

    def copy(self, to: int, source: int, size: int, *, gate: bool = False) -> Command:
        """Copy bytes in user mode, from the lowest on; the result is their number."""
        return self._start(COPY, (to, source, size), gate, 0)

    def touch(self, address: int, times: int, stride: int = PAGE) -> Command:
        """Load a byte every ``stride`` bytes, so many; the result is the last one."""
        return self._start(TOUCH, (address, stride, times), False, 0)

    def syscall(self, number: int, *args: int, gate: bool = False, delay: int = 0) -> Command:
        """Do a system call."""
        return self._start(CALL, (number, *args), gate, delay)

    def do(self, what: int, *args: int) -> Command:
        """Do anything that the machine code knows by a number."""
        return self._start(what, args, False, 0)

    def call(self, number: int, *args: int) -> int:
        """Do a system call, wait for it, and raise ``OSError`` if it failed."""
        result = self._start(CALL, (number, *args), False, 0).wait()
        if -4096 < result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def begin_fork(self, *, gate: bool = False) -> Fork:
        """Fork. The child has memory of its own, a copy; slots and scratch stay common to all.

        It is a child of this process as well (``CLONE_PARENT``), so that its end is seen here.
        """
        child = self.puppet.spare()
        return Fork(self._start(FORK, (child.slot.address, os.getpid()), gate, 0), child)

    def fork(self) -> PuppetThread:
        """Fork and return the child."""
        return self.begin_fork().wait()

    def kill(self, number: int) -> None:
        """Send this thread a signal."""
        syscall(Nr.TGKILL, self.pid, self.tid, number)

    def block(self, *numbers: int) -> None:
        """Block signals in this thread."""
        self._mask(_BLOCK, numbers)

    def unblock(self, *numbers: int) -> None:
        """Let signals through again; those that are pending are delivered now."""
        self._mask(_UNBLOCK, numbers)

    def _mask(self, how: int, numbers: Iterable[int]) -> None:
        mask = sum(1 << number - 1 for number in numbers)
        self.call(Nr.RT_SIGPROCMASK, how, self.slot.room(struct.pack("=Q", mask)), 0, 8)

    @property
    def handled(self) -> Handled:
        """What its signal handler has seen the last time."""
        times = self.slot.word(112)
        if not times:
            return Handled(0, 0, 0, 0, 0)
        last = self.deliveries[-1]
        return Handled(times, last.signal, last.rip, last.code, last.address)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The last eight runs of its signal handlers, the oldest first."""
        return self.slot.log(self.puppet.code)

    @property
    def proc(self) -> Thread:
        """What ``/proc`` says of it."""
        return Thread(self.pid, self.tid)

    def settled(self, timeout: float = PATIENCE) -> Settled:
        """Wait until it has done its command, or sleeps in it, or a time has passed."""
        if self._watch is None or self._watch.thread != (self.pid, self.tid):
            self.forget()
            self._watch = Watch(self.proc)
        return self._watch.settled(self.slot, timeout)

    def forget(self) -> None:
        """Close what watches it."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    @property
    def ended(self) -> os.waitid_result | None:
        """How its process ended; None if it lives. It is still a zombie until the puppet closes."""
        if not self.pid:
            return None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None

    def died(self) -> str:
        """Say how its process ended; empty if it lives."""
        ended = self.ended
        if ended is None:
            return ""
        if ended.si_code == os.CLD_EXITED:
            return f"process {self.pid} exited with {ended.si_status}"
        return f"process {self.pid} died by {signal.Signals(ended.si_status).name}"
