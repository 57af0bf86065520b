"""Where situations are performed: a puppet, and the tracer on two of its threads."""

from __future__ import annotations

import signal
import struct

from .. import operations
from ..abi import Nr, Unavailable, ioctl_read_write
from ..puppet import PAGE, Puppet
from ..slot import Command
from ..userfaultfd import API, FLAGS, Feature, Mode, Userfaultfd
from .recording import Call
from .tracer import FunctionTracer

SECONDS = 20.0
"""Seconds that a step may take: an emulator is slow."""

_COPY, _WRITEPROTECT = ioctl_read_write(API, 0x03, 40), ioctl_read_write(API, 0x06, 24)
_POLLIN = 1


class Scene:
    """A puppet, and the tracer on two of its threads."""

    def __init__(self, tracer: FunctionTracer) -> None:
        self.tracer = tracer
        self.puppet = Puppet(3)
        self.main, self.faulter, self.monitor = self.puppet.threads
        self._threads = {self.faulter.tid: "faulter", self.monitor.tid: "monitor"}
        self.warm()
        self._polling: Command | None = None
        self.fd = -1

    def page(self, *, fresh: bool = False) -> int:
        """Map a page between two that nobody may touch, so that its VMA is its own.

        Unless it is ``fresh`` memory of the same VMA is in use, so that there is an anon_vma.
        """
        start = self.puppet.map(4, prot=0)
        operations.mprotect(self.main, start + PAGE, 2 * PAGE, 3).wait(SECONDS)
        if not fresh:
            self.main.store(start + 2 * PAGE, 1).wait(SECONDS)
        return start + PAGE

    def served(
        self, page: int, mode: Mode = Mode.MISSING, features: int = 0, flags: int = FLAGS
    ) -> Userfaultfd:
        """Register a page with a userfaultfd, which the monitor then waits for."""
        self.fd = self.main.call(Nr.USERFAULTFD, flags)
        uffd = Userfaultfd(self.puppet.take(self.fd))
        uffd.api(Feature(features))
        result = uffd.register(page, PAGE, mode)
        if result.errno:
            raise Unavailable(f"a page cannot be registered: {result.errno}", "boot a newer kernel")
        return uffd

    def warm(self) -> None:
        """Let the threads touch what they need besides: stacks, and the source of copies."""
        self.main.load(self.puppet.write_scratch(PAGE, bytes(PAGE))).wait(SECONDS)
        self.main.store(self.puppet.scratch, 0).wait(SECONDS)
        for thread in (self.faulter, self.monitor):
            thread.call(Nr.GETTID)

    def handle(self) -> None:
        """Handle the signal, and have it handled once: the frame of the first needs a page."""
        self.puppet.handle(signal.SIGUSR1)
        self.faulter.kill(signal.SIGUSR1)
        self.puppet.wait_until(lambda: self.faulter.handled.times > 0, SECONDS)

    def poll(self) -> None:
        """Let the monitor wait for a message, until it sleeps or there is one."""
        slot = self.monitor.slot
        self._polling = self.monitor.syscall(
            Nr.POLL, slot.room(struct.pack("=ihh", self.fd, _POLLIN, 0)), 1, -1
        )
        self.monitor.settled(SECONDS)

    def read(self) -> None:
        """Let the monitor read the message that it waits for, once the faulter sleeps."""
        self.faulter.settled(SECONDS)
        assert self._polling is not None
        self._polling.wait(SECONDS)
        self._monitor(Nr.READ, self.fd, self.monitor.slot.room(bytes(32), 64), 32)

    def _monitor(self, number: int, *arguments: int) -> int:
        return self.monitor.syscall(number, *arguments).wait(SECONDS)

    def copy(self, page: int) -> None:
        """Let the monitor fill the page."""
        source = self.puppet.write_scratch(PAGE, bytes(PAGE))
        ask = struct.pack("=5Q", page, source, PAGE, 0, 0)
        self._monitor(Nr.IOCTL, self.fd, _COPY, self.monitor.slot.room(ask, 96))

    def unprotect(self, page: int) -> None:
        """Let the monitor unprotect the page."""
        ask = struct.pack("=3Q", page, PAGE, 0)
        self._monitor(Nr.IOCTL, self.fd, _WRITEPROTECT, self.monitor.slot.room(ask, 96))

    def kill(self) -> None:
        """Let the monitor send the faulter a signal."""
        self._monitor(Nr.TGKILL, self.puppet.pid, self.faulter.tid, signal.SIGUSR1)

    def begin(self) -> None:
        """Record from here on."""
        self.tracer.begin(self._threads)

    def end(self) -> list[Call]:
        """Return what was recorded."""
        return self.tracer.end(self._threads)

    def close(self) -> None:
        """End the puppet."""
        self.puppet.close()
