"""How much memory a search may take, and what keeps its process within that.

The bound is on the *process*: tables of Python and of the native core, whatever they hold. Three
things keep it. The engines look at what is resident now and then and end in good order a little
below the bound (``SOFT``). What grows between two looks meets the guard: the kernel refuses more
memory, an allocation fails, and that ends the search as the bound would. And no bound exceeds
what the machine, and the control group that the process is in, have left: where memory runs out
the kernel kills, and a killed process says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import resource
except ImportError:  # not everywhere; then there is no guard
    resource = None  # type: ignore[assignment]

SHARE = 0.5
"""Without a bound given: so much of what is available."""

MOST = 0.9
"""No bound takes more than this of what is available."""

SOFT = 0.94
"""An engine ends at this part of its bound; the rest is for saying what came of it."""

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")


def resident() -> int:
    """The bytes of this process that are in memory."""
    try:
        pages = int((PROC / "self" / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        if resource is None:
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def available() -> int:
    """The bytes that this process can still take without harm: those of machine and groups."""
    return max(0, min([_machine(), *_groups()]))


def bound(asked: int | None) -> int:
    """The bound, in bytes, of a process that is ``asked`` to keep below so much."""
    now, left = resident(), available()
    most = now + int(MOST * left)
    return min(asked, most) if asked else now + int(SHARE * left)


def text(size: int) -> str:
    """``size`` bytes, as one writes ``--max-memory``: 512M, 4G."""
    for unit, power in (("G", 30), ("M", 20), ("K", 10)):
        if size >= 10 << power or (size >= 1 << power and size % (1 << power) == 0):
            return f"{size >> power}{unit}"
    return f"{size / (1 << 20):.1f}M" if size >= 1 << 20 else str(size)


def wanting(limit: int, asked: int | None) -> str:
    """Say that ``limit``, made of what was ``asked`` for, does not suffice, and what would."""
    if asked is None:
        return f"more than {text(limit)} needed, half of what was available: raise --max-memory"
    if limit < asked:
        return f"more than {text(limit)} needed, which is all that was available for --max-memory"
    return f"more than {text(limit)} needed: raise --max-memory"


def soft(limit: int) -> int:
    """Where an engine ends by itself, so that what comes after it fits below ``limit``."""
    return int(SOFT * limit)


@contextmanager
def guarded(limit: int) -> Iterator[None]:
    """Let no allocation inside take the process beyond ``limit`` bytes: ``MemoryError`` instead.

    It holds for the whole process; a limit that is stricter already stays. What the process has
    taken before is never touched, however small the limit.
    """
    if resource is None or not hasattr(resource, "RLIMIT_DATA"):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    room = max(0, limit - resident())
    wanted = _data() + room
    if before[0] == resource.RLIM_INFINITY or wanted < before[0]:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data() -> int:
    """What the guard counts: private memory that can be written, touched or not."""
    try:
        pages = int((PROC / "self" / "statm").read_text().split()[5])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resident()


def _machine() -> int:
    """Bytes that the machine has left, by its own estimate."""
    try:
        for line in (PROC / "meminfo").read_text().splitlines():
            name, _, amount = line.partition(":")
            if name == "MemAvailable":
                return int(amount.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError):
        return 4 << 30


def _groups() -> Iterator[int]:
    """Bytes left in each control group, of either version, that this process is in."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield from _left(GROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(GROUPS / "memory", path, *names)


def _left(root: Path, path: str, limit: str, usage: str, cached: str) -> Iterator[int]:
    """Bytes left in a group and in those around it.

    A container may see its own group as the root, by a path that is another outside; so what is
    not there is no bound.
    """
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        try:
            most = int((folder / limit).read_text())
            taken = int((folder / usage).read_text())
            yield most - taken + _cached(folder, cached)
        except (OSError, ValueError):  # no such group, or "max": no bound
            pass
        if folder == root:
            return


def _cached(folder: Path, name: str) -> int:
    """Bytes of files that the kernel drops from memory before it kills anybody."""
    for line in (folder / "memory.stat").read_text().splitlines():
        key, _, amount = line.partition(" ")
        if key == name:
            return int(amount)
    return 0
