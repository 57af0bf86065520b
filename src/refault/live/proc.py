"""What ``/proc`` tells of threads and of pages."""

from __future__ import annotations

import os
import struct
from enum import IntFlag
from pathlib import Path
from typing import NamedTuple

from .abi import Unavailable

PAGE = 4096


def functions(stack: str) -> tuple[str, ...]:
    """Names of the functions in the text of ``/proc/TID/stack``, the innermost first."""
    lines = (line.split("] ", 1)[-1] for line in stack.splitlines())
    return tuple(line.split("+")[0] for line in lines if "+" in line)


class SystemCall(NamedTuple):
    """A system call by number, with its arguments (none of a fault) and the user's ``rip``."""

    number: int
    arguments: tuple[int, ...]
    rip: int


class Thread(NamedTuple):
    """A thread by process and thread id."""

    pid: int
    tid: int

    @property
    def folder(self) -> Path:
        """Its folder in ``/proc``."""
        return Path(f"/proc/{self.pid}/task/{self.tid}")

    @property
    def state(self) -> str:
        """One letter: R runs, S and D sleep (interruptibly or not), T is stopped, Z is dead."""
        return self._stat()[0].decode()

    @property
    def cpu_ticks(self) -> tuple[int, int]:
        """Ticks of the CPU in user mode and in the kernel."""
        fields = self._stat()
        return int(fields[11]), int(fields[12])

    @property
    def cpu_seconds(self) -> float:
        """Time that it has had a CPU, as fine as this kernel counts it."""
        try:
            return int((self.folder / "schedstat").read_bytes().split()[0]) / 1e9
        except FileNotFoundError:
            return sum(self.cpu_ticks) / os.sysconf("SC_CLK_TCK")

    @property
    def faults(self) -> tuple[int, int]:
        """Minor and major page faults."""
        fields = self._stat()
        return int(fields[7]), int(fields[9])

    def _stat(self) -> list[bytes]:
        text = (self.folder / "stat").read_bytes()
        return text[text.rindex(b")") + 2 :].split()

    @property
    def stack(self) -> tuple[str, ...]:
        """The functions on its kernel stack, the innermost first; empty where it runs."""
        try:
            text = (self.folder / "stack").read_text()
        except PermissionError as error:
            raise Unavailable("the kernel stack of a thread cannot be read", "be root") from error
        return functions(text)

    @property
    def system_call(self) -> SystemCall | None:
        """The system call in which it sleeps, number -1 for none but a fault; None if it runs."""
        text = (self.folder / "syscall").read_text().split()
        if text[0] == "running":
            return None
        number, *rest = (int(word, 0) for word in text)
        return SystemCall(number, tuple(rest[:-2]), rest[-1])

    def in_function(self, name: str) -> bool:
        """Whether a function is on its kernel stack."""
        return name in self.stack

    def status(self, field: str) -> str:
        """A line of its ``status``, such as ``SigPnd``."""
        for line in (self.folder / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == field:
                return value.strip()
        raise KeyError(field)


class PageFlag(IntFlag):
    """Bits of an entry of ``pagemap``."""

    SOFT_DIRTY = 1 << 55
    EXCLUSIVE = 1 << 56
    UFFD_WP = 1 << 57
    GUARD = 1 << 58
    FILE = 1 << 61
    SWAPPED = 1 << 62
    PRESENT = 1 << 63


_ALL = sum(PageFlag)


class Sight:
    """Looks at the pages of a process, with its files in ``/proc`` kept open."""

    def __init__(self, pid: int) -> None:
        self._pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._mem = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def flags(self, address: int, pages: int) -> list[PageFlag]:
        """What ``pagemap`` says of so many pages."""
        data = os.pread(self._pagemap, 8 * pages, address // PAGE * 8)
        return [PageFlag(entry & _ALL) for entry in struct.unpack(f"={pages}Q", data)]

    def byte(self, address: int) -> int:
        """The byte at an address, as a debugger reads it: what is missing is filled."""
        return os.pread(self._mem, 1, address)[0]

    def close(self) -> None:
        """Close both files."""
        os.close(self._pagemap)
        os.close(self._mem)


def page_flags(pid: int, address: int) -> PageFlag:
    """What ``pagemap`` says of a page."""
    return PageFlag(_entry(pid, address) & _ALL)


def page_frame(pid: int, address: int) -> int:
    """The number of a page's frame; 0 where there is none, or for who is not root."""
    entry = _entry(pid, address)
    return entry & (1 << 55) - 1 if entry & PageFlag.PRESENT else 0


def _entry(pid: int, address: int) -> int:
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek(address // PAGE * 8)
        (entry,) = struct.unpack("=Q", pagemap.read(8))
    return int(entry)
