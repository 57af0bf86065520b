"""Lists of commands that threads of puppets work off by themselves, step by step with one another.

A command at a time costs two switches of context and a turn of the interpreter: some hundred runs
a second. What races is a matter of nanoseconds and takes many more, so all that threads have to do
is written down beforehand, for many runs. Each entry says how many steps must have been done by
all before it is its turn; entries with the same number begin together, each after its delay.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from typing import TYPE_CHECKING

from .puppet import PAGE
from .slot import Command

if TYPE_CHECKING:
    from .thread import PuppetThread

LOAD, STORE, CALL, LIST = 1, 2, 3, 8
ENTRY = 256
ROOM, ROOM_SIZE = 96, 160
_HEADER = 256
_STATE, _DELAY, _RESULT, _CODE = 12, 16, 80, 88
NOT_BEGUN, BEGUN, DONE = range(3)


class Entry:
    """One command of a list: 256 bytes of shared memory, as ``_puppet.s`` reads and writes them.

    ======  ======================================  ======  ============================
    offset  what                                    offset  what
    ======  ======================================  ======  ============================
    0       what to do, 0 at the end                80      result
    8       how many steps must have been done      88      ``si_code``, if a signal ended it
    12      whether it has begun, or is done        96      room for what arguments point to
    16, 24  loops to wait then, seven arguments
    ======  ======================================  ======  ============================
    """

    def __init__(self, board: Board, index: int) -> None:
        self._board = board
        self._at = _HEADER + index * ENTRY
        self.address = board.address + self._at

    def put(self, what: int, after: int, arguments: tuple[int, ...]) -> None:
        """Write the command down."""
        padded = (*arguments, 0, 0, 0, 0, 0, 0, 0)[:7]
        words = (a & (1 << 64) - 1 for a in padded)
        struct.pack_into("=Q2IQ7Q", self._board.memory, self._at, what, after, 0, 0, *words)

    def delay(self, loops: int) -> None:
        """Hold it back by so many loops, when it is its turn."""
        self._board.longs[(self._at + _DELAY) // 8] = loops

    @property
    def state(self) -> int:
        """``NOT_BEGUN``, ``BEGUN`` or ``DONE``."""
        return self._board.words[(self._at + _STATE) // 4]

    @property
    def result(self) -> int:
        """A byte loaded, what a system call returned, or minus the signal that ended an access."""
        return self._board.longs[(self._at + _RESULT) // 8]

    @property
    def code(self) -> int:
        """``si_code`` of that signal."""
        return self._board.words[(self._at + _CODE) // 4]

    def room(self, data: bytes) -> int:
        """Put data where arguments may point to; returns its address."""
        if len(data) > ROOM_SIZE:
            raise ValueError(f"arguments have room for {ROOM_SIZE} bytes")
        at = self._at + ROOM
        self._board.memory[at : at + len(data)] = data
        return self.address + ROOM

    def found(self, size: int, offset: int = 0) -> bytes:
        """What is there now."""
        at = self._at + ROOM + offset
        return bytes(self._board.memory[at : at + size])


class Board:
    """Memory for lists of ``entries`` in all, to be made before the puppets that use it."""

    def __init__(self, entries: int) -> None:
        size = -(-(_HEADER + entries * ENTRY) // PAGE) * PAGE
        self.memory = mmap.mmap(-1, size)
        self.words = memoryview(self.memory).cast("I")
        self.longs = memoryview(self.memory).cast("q")
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self._used = 0
        self._first = b""

    def entry(self) -> Entry:
        """The next entry; those of one list come one behind the other, the last is left empty."""
        self._used += 1
        return Entry(self, self._used - 1)

    def keep(self) -> None:
        """Keep all lists as they are now, for ``reset()``."""
        self._first = bytes(self.memory)

    def reset(self) -> None:
        """Make all lists as they were kept, so that they can be done again."""
        self.memory[:] = self._first

    def restart(self) -> None:
        """Count steps from none, and let nobody stop."""
        self.words[0] = self.words[1] = 0

    @property
    def done(self) -> int:
        """How many steps all threads together have done."""
        return self.words[0]

    def stop(self) -> None:
        """Let every thread end its list that waits for its turn."""
        self.words[1] = 1

    def start(self, thread: PuppetThread, first: Entry) -> Command:
        """Have a thread do a list."""
        return thread.do(LIST, first.address, self.address)
