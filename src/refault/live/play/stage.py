"""The stage of a litmus test: a process with its threads and memory, and a monitor outside.

Two puppets. One is the process of the program; its first thread belongs to the stage, which maps
memory with it and has it at hand when all others are asleep. The other has the userfaultfd only,
and is the monitor. They share the gate, so that all threads of a move can begin at once.

A stage is used for one run after the other, as long as nobody was killed on it and the userfaultfd
is open: between runs only the memory is made anew.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from types import TracebackType

from refault.litmus.program import MONITOR, Memory, Place, Program

from ..abi import Nr, Unavailable
from ..proc import Sight
from ..puppet import PAGE, Puppet, PuppetThread, TimedOut
from ..userfaultfd import UFFD_USER_MODE_ONLY, Feature, Mode, Userfaultfd, unavailable

COPIED_BYTE = 0x5A
SOURCE = 2 * PAGE
"""Where in shared memory COPY finds its pages; the structures of ioctls are below."""
SOURCES = 8
AREA = 0x1000_0000_0000
"""Where the memory of programs is, a gap before and between: no other mapping comes near."""
_PROT = {"rw": mmap.PROT_READ | mmap.PROT_WRITE, "r": mmap.PROT_READ, "": 0}


class Stage:
    """A place for runs of one program; a context manager that leaves nothing behind."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.spoilt = False
        self.puppet = Puppet(1 + len(program.threads))
        self.sight = Sight(self.puppet.pid)
        self.monitor: Puppet | None = None
        self.addresses: dict[str, int] = {}
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        puppet = self.puppet
        puppet.write_scratch(SOURCE, bytes([COPIED_BYTE]) * PAGE * SOURCES)
        flags = os.O_CLOEXEC | os.O_NONBLOCK
        flags |= UFFD_USER_MODE_ONLY if self.program.user_mode_only else 0
        try:
            self.fd_inside = puppet.thread().call(Nr.USERFAULTFD, flags)
        except OSError as error:
            raise unavailable(error) from error
        self.uffd = Userfaultfd(puppet.take(self.fd_inside))
        self._handshake()
        self.monitor = Puppet(1, gate=puppet, keep=(self.uffd.fd,))
        if not self.program.bare:
            for number in (signal.SIGBUS, signal.SIGSEGV):
                puppet.handle(number)
        for name, restart in self.program.handlers:
            puppet.handle(signal.Signals[name], restart=restart)
        self._map_all()

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

    def _place(self, pages: int) -> int:
        """Where memory goes: mappings have a gap between them, or the kernel would merge them."""
        start = self._free
        self._free += (pages + 1) * PAGE
        return start

    def _map_all(self) -> None:
        self._free = AREA + PAGE
        self._cleared = False
        for memory in self.program.memories:
            self.addresses[memory.name] = self._map(memory)

    def _map(self, memory: Memory) -> int:
        if memory.kind == "room":
            return self._place(memory.pages)
        if memory.kind != "anon":
            raise Unavailable(f"memory of kind {memory.kind!r} cannot be mapped", "use anon")
        start = self.puppet.map(
            memory.pages,
            prot=_PROT[memory.prot],
            shared=memory.shared,
            at=self._place(memory.pages),
        )
        for page in range(memory.pages):
            at = start + page * PAGE
            if memory.contents == "page":
                self.puppet.thread().store(at, 0).wait()
            elif memory.contents == "zero page":
                self.puppet.thread().load(at).wait()
        if memory.modes:
            mode = Mode(0)
            for word in memory.modes:
                mode |= Mode[word.upper()]
            self._need(
                "UFFDIO_REGISTER", self.uffd.register(start, memory.pages * PAGE, mode).errno
            )
        if memory.protected:
            result = self.uffd.writeprotect(start, memory.pages * PAGE)
            self._need("UFFDIO_WRITEPROTECT", result.errno)
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
        self.uffd.drain()
        for thread in self.puppet.threads:
            thread.slot.put("=2I", 112, 0, 0)
        self._map_all()

    def rescue(self, seconds: float = 1.0) -> bool:
        """Free threads that are asleep in a fault or an event; tells whether all are free.

        The memory goes, so who faults again gets a signal, which ends the access.
        """
        going = self.puppet.thread().syscall(Nr.MUNMAP, AREA, self._free - AREA)
        deadline = time.monotonic() + seconds
        while not (going.done and not any(thread.slot.busy for thread in self.puppet.threads)):
            if time.monotonic() > deadline:
                return False
            self.uffd.drain()
            self.uffd.wake(AREA, self._free - AREA)
        self._cleared = True
        return True

    def thread(self, name: str) -> PuppetThread:
        """A thread of the program, or the monitor's."""
        if name == MONITOR:
            assert self.monitor is not None
            return self.monitor.thread()
        names = [thread.name for thread in self.program.threads]
        return self.puppet.thread(1 + names.index(name))

    def address(self, place: Place) -> int:
        """The address of a place."""
        return self.addresses[place.memory] + place.page * PAGE

    def name(self, address: int) -> str:
        """A place by its address."""
        for memory in self.program.memories:
            page, rest = divmod(address - self.addresses[memory.name], PAGE)
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
        """End both puppets."""
        self.sight.close()
        self.puppet.close()
        if self.monitor is not None:
            self.monitor.close()
