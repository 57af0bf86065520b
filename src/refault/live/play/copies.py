"""The memory of a program, mapped many times over with room between the copies."""

from __future__ import annotations

import mmap
import struct

from refault.litmus.program import Memory, Program

from ..abi import Nr, Unavailable, ioctl_read_write
from ..lists import CALL, LOAD, STORE, Board, Entry
from ..puppet import PAGE
from ..userfaultfd import API, Mode
from .memory import PROT
from .record import NotListed
from .stage import Stage

_MAP_FIXED = 0x10
_WP = 1


class Copies:
    """Copies of all memories; lists that map them, each with a page of nothing behind it."""

    def __init__(self, program: Program, number: int) -> None:
        for memory in program.memories:
            if memory.kind != "anon" or memory.contents not in ("", "page", "zero page"):
                raise NotListed(f"a list does not map {memory.kind} {memory.contents}".rstrip())
        self.memories = program.memories
        self.number = number
        self.pages = sum(memory.pages + 1 for memory in self.memories)
        self.entries = 1 + number * sum(_steps(memory) for memory in self.memories)
        self.base = 0
        self._first: Entry | None = None
        self._all: list[Entry] = []

    def addresses(self, copy: int) -> dict[str, int]:
        """Where the memories of a copy are."""
        at, found = self.base + copy * self.pages * PAGE, {}
        for memory in self.memories:
            found[memory.name] = at
            at += (memory.pages + 1) * PAGE
        return found

    def write(self, board: Board, stage: Stage) -> None:
        """Find room in the process, and write the list that maps all copies there."""
        self.base = stage.place(self.number * self.pages * PAGE)
        for copy in range(self.number):
            at = self.addresses(copy)
            for memory in self.memories:
                self._write(board, stage.fd_inside, memory, at[memory.name])
        self._first = self._all[0] if self._all else None
        board.entry()

    def _write(self, board: Board, fd: int, memory: Memory, at: int) -> None:
        def put(what: int, *arguments: int) -> None:
            self._all.append(board.entry())
            self._all[-1].put(what, 0, arguments)

        def ioctl(number: int, *words: int) -> None:
            data = struct.pack(f"={len(words)}Q", *words)
            self._all.append(board.entry())
            room = self._all[-1].room(data)
            request = ioctl_read_write(API, number, len(data))
            self._all[-1].put(CALL, 0, (Nr.IOCTL, fd, request, room))

        length = memory.pages * PAGE
        flags = mmap.MAP_SHARED if memory.shared else mmap.MAP_PRIVATE
        flags |= mmap.MAP_ANONYMOUS | _MAP_FIXED
        put(CALL, Nr.MMAP, at, length, PROT[memory.prot], flags, -1, 0)
        for page in range(memory.pages if memory.contents else 0):
            put(STORE if memory.contents == "page" else LOAD, at + page * PAGE, 0)
        if memory.modes:
            mode = sum(Mode[word.upper()] for word in memory.modes)
            ioctl(0x00, at, length, mode, 0)
        if memory.protected:
            ioctl(0x06, at, length, _WP)

    def map(self, board: Board, stage: Stage) -> None:
        """Map them all."""
        if self._first is None:
            return
        board.start(stage.puppet.thread(), self._first).wait()
        board.restart()
        failed = next((e for e in self._all if e.result < 0 and e.result > -4096), None)
        if failed is not None:
            raise Unavailable(
                f"memory cannot be set up: error {-failed.result}", "this needs another kernel"
            )

    def unmap(self, stage: Stage) -> None:
        """Unmap them all, with whatever is there by now."""
        length = self.number * self.pages * PAGE
        stage.puppet.thread().call(Nr.MUNMAP, self.base, length)


def _steps(memory: Memory) -> int:
    pages = memory.pages if memory.contents else 0
    return 1 + pages + bool(memory.modes) + memory.protected
