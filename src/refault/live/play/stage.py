"""The stage of a litmus test: a process with its threads and memory, and a monitor outside.

Two puppets. One is the process of the program; its first thread belongs to the stage, which maps
memory with it and has it at hand when all others are asleep. The other has the userfaultfd only,
and is the monitor. They share the gate, so that all threads of a move can begin at once.

A stage is used for one run after the other, as long as nobody was killed on it and the userfaultfd
is open: between runs only the memory is made anew, and what was opened for it is closed.
"""

from __future__ import annotations

import os
import signal
import time
from types import TracebackType
from typing import Any

from refault.litmus.program import MONITOR, Memory, Place, Program, Step

from ..abi import Nr, Unavailable
from ..perf import FaultCounter
from ..proc import Sight
from ..puppet import PAGE, Puppet, PuppetThread, TimedOut
from ..userfaultfd import UFFD_USER_MODE_ONLY, Feature, Mode, Userfaultfd, unavailable
from .memory import HugePages, map_memory, page_size
from .needs import require

COPIED_BYTE = 0x5A
SOURCE = 2 * PAGE
"""Where in shared memory COPY finds its pages; the structures of ioctls are below."""
SOURCES = 8
AREA = 0x1000_0000_0000
"""Where the memory of programs is, a gap before and between: no other mapping comes near."""
OTHER = SOURCE + SOURCES * PAGE
"""Where in shared memory system calls find the other end of a copy."""


class Stage:
    """A place for runs of one program; a context manager that leaves nothing behind."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.spoilt = not program.handshake or any(t.forked for t in program.threads)
        self.spoilt |= program.blocking and "EVENT_UNMAP" in program.features
        self.forking: list[str] = []
        self.children: dict[str, PuppetThread] = {}
        self.served: dict[str, int] = {}
        self._free = AREA + PAGE
        self._cleared = False
        self._sources: dict[int, int] = {}
        self.files: dict[str, int] = {}
        self.pool = HugePages(sum(m.pages for m in program.memories if m.kind == "hugetlb"))
        self._names = [thread.name for thread in program.threads if not thread.forked]
        self.puppet = Puppet(1 + len(self._names))
        self.sight = Sight(self.puppet.pid)
        self.monitor: Puppet | None = None
        self.addresses: dict[str, int] = {}
        self.things: dict[str, Any] = {}
        self.opened: list[int] = []
        self.counters: dict[str, FaultCounter] = {}
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        require(self.program.needs)
        puppet = self.puppet
        puppet.write_scratch(SOURCE, bytes([COPIED_BYTE]) * PAGE * SOURCES)
        flags = os.O_CLOEXEC | (0 if self.program.blocking else os.O_NONBLOCK)
        flags |= UFFD_USER_MODE_ONLY if self.program.user_mode_only else 0
        try:
            self.fd_inside = puppet.thread().call(Nr.USERFAULTFD, flags)
        except OSError as error:
            raise unavailable(error) from error
        self.uffd = Userfaultfd(puppet.take(self.fd_inside))
        if self.program.handshake:
            self._handshake()
        if any(thread.forked for thread in self.program.threads):
            # A child that is being made has its parent's descriptors, and cannot close them.
            puppet.thread().call(Nr.CLOSE, self.fd_inside)
            self.fd_inside = -1
        self.monitor = Puppet(1, gate=puppet, keep=(self.uffd.fd,))
        if not self.program.bare:
            for number in (signal.SIGBUS, signal.SIGSEGV):
                puppet.handle(number)
        for name, restart in self.program.handlers:
            puppet.handle(signal.Signals[name], restart=restart)
        self._count_faults()
        self._map_all()

    def _count_faults(self) -> None:
        """Count those of the threads whose faults are looked at."""
        for step in self.program.steps:
            if step.do == "faults" and step.args["who"] not in self.counters:
                counter = FaultCounter(self.thread(step.args["who"]))
                self.counters[step.args["who"]] = counter
                counter.resume()

    def _handshake(self) -> None:
        wanted = Feature(0)
        for name in self.program.features:
            wanted |= Feature[name]
        try:
            self.uffd.api(wanted)
        except OSError as error:
            names = " ".join(self.program.features)
            raise Unavailable(
                f"UFFDIO_API refuses {names}: {error.strerror}", "this needs a newer kernel"
            ) from error

    def place(self, size: int, unit: int = PAGE) -> int:
        """Where memory goes: mappings have a gap between them, or the kernel would merge them."""
        start: int = -(-self._free // unit) * unit
        self._free = start + size + unit
        return start

    def _map_all(self) -> None:
        self._free = AREA + PAGE
        self._cleared = False
        for memory in self.program.memories:
            self.addresses[memory.name] = self._map(memory)

    def _map(self, memory: Memory) -> int:
        start = map_memory(self, memory)
        if memory.kind == "room":
            return start
        size = memory.pages * page_size(memory)
        if memory.modes:
            mode = Mode(sum(Mode[word.upper()] for word in memory.modes))
            self._need("UFFDIO_REGISTER", self.uffd.register(start, size, mode).errno)
        if memory.protected:
            self._need("UFFDIO_WRITEPROTECT", self.uffd.writeprotect(start, size).errno)
        return start

    @staticmethod
    def _need(what: str, failed: str) -> None:
        if failed:
            raise Unavailable(f"{what}: {failed}", "this needs another kernel")

    def renew(self, program: Program | None = None) -> None:
        """Make the memory anew, for another run; the stage must not be ``spoilt``.

        That may be a run of another ``program`` with the same threads, features and handlers.
        """
        if not self._cleared and not self.rescue():
            raise TimedOut("the memory of the last run does not go away")
        self.program = program or self.program
        for fd in (*self.files.values(), *self.opened):
            self.puppet.thread().call(Nr.CLOSE, fd)
        self.files.clear()
        self.opened.clear()
        self.things.clear()
        if not self.program.blocking:
            self.uffd.drain()
        for thread in self.puppet.threads:
            thread.slot.put("=2I", 112, 0, 0)
        self._map_all()

    def rescue(self, seconds: float = 5.0) -> bool:
        """Free threads that are asleep in a fault or an event; tells whether all are free.

        The memory goes, so who faults again gets a signal, which ends the access.
        """
        if self._cleared:
            return True
        going = self.puppet.thread().syscall(Nr.MUNMAP, AREA, self._free - AREA)
        deadline = time.monotonic() + seconds
        while not (going.done and not any(thread.slot.busy for thread in self.puppet.threads)):
            if time.monotonic() > deadline:
                return False
            self.uffd.drain()
            self.uffd.wake(AREA, self._free - AREA)
        self._cleared = True
        return True

    def keep(self, *descriptors: int) -> None:
        """Have descriptors of the process closed when this run is over."""
        self.opened += descriptors

    def thread(self, name: str) -> PuppetThread:
        """A thread of the program, or the monitor's."""
        if name == MONITOR:
            assert self.monitor is not None
            return self.monitor.thread()
        if name in self.children:
            return self.children[name]
        return self.puppet.thread(1 + self._names.index(name))

    def born(self, name: str) -> bool:
        """Whether a thread is there: the monitor, one of the process, or a child after its fork."""
        return name == MONITOR or name in self._names or name in self.children

    def told_of_fork(self, fd: int) -> None:
        """The monitor has read of the oldest fork, and been given this descriptor."""
        if self.forking:
            self.served[self.forking.pop(0)] = fd

    def who(self, tid: int) -> str:
        """A thread by its number."""
        names = (name for name in (*self._names, *self.children))
        return next((name for name in names if self.thread(name).tid == tid), str(tid))

    def pid(self, step: Step) -> int:
        """The process whose memory a step is about."""
        child = step.args.get("of", step.thread)
        return self.children[child].pid if child in self.children else self.puppet.pid

    def address(self, place: Place) -> int:
        """The address of a place."""
        return self.addresses[place.memory] + place.page * page_size(self.memory(place))

    def memory(self, place: Place) -> Memory:
        """The memory that a place is in."""
        return next(m for m in self.program.memories if m.name == place.memory)

    def source(self, name: str, size: int) -> int:
        """Where a thread finds so many bytes to be copied."""
        if size <= SOURCES * PAGE:
            return self.puppet.scratch + SOURCE
        puppet = self.monitor if name == MONITOR else self.puppet
        assert puppet is not None
        if puppet.pid not in self._sources:
            self._sources[puppet.pid] = puppet.map(size // PAGE)
            puppet.poke(self._sources[puppet.pid], bytes([COPIED_BYTE]) * size)
        return self._sources[puppet.pid]

    def name(self, address: int) -> str:
        """A place by its address."""
        for memory in self.program.memories:
            page, rest = divmod(address - self.addresses[memory.name], page_size(memory))
            if 0 <= page < memory.pages:
                return f"{Place(memory.name, page)}{f'+{rest:#x}' if rest else ''}"
        return f"{address:#x}"

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both puppets, and give back what was taken."""
        for counter in self.counters.values():
            counter.close()
        self.sight.close()
        self.puppet.close()
        if self.monitor is not None:
            self.monitor.close()
        self.pool.close()
