"""Memory of a litmus test, mapped in the process of the program."""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from refault.litmus.program import Memory

from .. import operations
from ..abi import Nr, Unavailable
from ..puppet import PAGE

if TYPE_CHECKING:
    from .stage import Stage

HUGE_PAGE = 1 << 21
PROT = {"rw": mmap.PROT_READ | mmap.PROT_WRITE, "r": mmap.PROT_READ, "": 0}
_MAP_HUGETLB = 0x40000
_TMPFS, _RAMFS = 0x01021994, 0x858458F6
_STATFS = 137
"""``fstatfs(2)`` is the next number."""


def page_size(memory: Memory) -> int:
    """Bytes of one page."""
    return HUGE_PAGE if memory.kind == "hugetlb" else PAGE


class HugePages:
    """Huge pages that the pool was given for a while."""

    _POOL = Path("/proc/sys/vm/nr_hugepages")

    def __init__(self, number: int) -> None:
        self._given = 0
        if not number:
            return
        try:
            before = int(self._POOL.read_text())
            self._POOL.write_text(str(before + number))
            self._given = int(self._POOL.read_text()) - before
        except OSError as error:
            raise Unavailable(f"no huge pages: {error.strerror}", "be root") from error
        if self._given < number:
            self.close()
            raise Unavailable("there is not enough memory in one piece for huge pages", "free some")

    def close(self) -> None:
        """Take them back."""
        if self._given > 0:
            with suppress(OSError):
                self._POOL.write_text(str(max(0, int(self._POOL.read_text()) - self._given)))
        self._given = 0


def map_memory(stage: Stage, memory: Memory) -> int:
    """Map memory with the contents that it has at first; returns its address."""
    puppet, main = stage.puppet, stage.puppet.thread()
    start = stage.place(memory.pages * page_size(memory), page_size(memory))
    if memory.kind == "room":
        return start
    puppet.map(
        memory.pages * page_size(memory) // PAGE,
        prot=PROT[memory.prot],
        shared=memory.shared,
        fd=_file(stage, memory),
        flags=_MAP_HUGETLB if memory.kind == "hugetlb" else 0,
        at=start,
    )
    for page in range(memory.pages):
        if memory.contents == "page":
            main.store(start + page * PAGE, 0).wait()
        elif memory.contents == "zero page":
            main.load(start + page * PAGE).wait()
    return start


def _file(stage: Stage, memory: Memory) -> int:
    """The descriptor of a mapping's file in the process; -1 if it has none."""
    if memory.kind in ("anon", "hugetlb"):
        return -1
    name = memory.of or memory.name
    if name not in stage.files:
        stage.files[name] = _new_file(stage, memory)
    return stage.files[name]


def _new_file(stage: Stage, memory: Memory) -> int:
    main = stage.puppet.thread()
    if memory.kind == "shmem":
        fd = operations.memfd(main, memory.pages * PAGE)
        for page in range(memory.pages if memory.contents == "cached" else 0):
            main.call(Nr.PWRITE64, fd, main.slot.room(b"\0"), 1, page * PAGE)
        return fd
    if memory.kind != "file":
        raise Unavailable(f"memory of kind {memory.kind!r} cannot be mapped", "use anon")
    fd = operations.file(main, memory.pages * PAGE)
    room = main.slot.room(bytes(128))
    main.call(_STATFS + 1, fd, room)
    if int.from_bytes(main.slot.look_at(room, 8), "little") in (_TMPFS, _RAMFS):
        raise Unavailable("temporary files are in memory", "set TMPDIR to a folder on a disk")
    return fd
