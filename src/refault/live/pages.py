"""What the kernel tells of many pages at once: ``PAGEMAP_SCAN``, and soft-dirty bits."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from enum import IntFlag
from pathlib import Path
from typing import NamedTuple

from .abi import Unavailable, ioctl_read_write
from .proc import PageFlag, page_flags

__all__ = ["Category", "PageFlag", "Region", "clear_soft_dirty", "page_flags", "scan"]

_SCAN = ioctl_read_write(ord("f"), 16, 96)
_ROOM = 256
_WP_MATCHING, _CHECK_WPASYNC = 1, 2


class Category(IntFlag):
    """``PAGE_IS_*`` of include/uapi/linux/fs.h; ACCESSED since 7.3."""

    WPALLOWED = 1 << 0
    WRITTEN = 1 << 1
    FILE = 1 << 2
    PRESENT = 1 << 3
    SWAPPED = 1 << 4
    PFNZERO = 1 << 5
    HUGE = 1 << 6
    SOFT_DIRTY = 1 << 7
    GUARD = 1 << 8
    ACCESSED = 1 << 9


NONE = Category(0)
KNOWN = Category(0xFF)
"""What a kernel that has the ioctl at all can tell."""


class Region(NamedTuple):
    """Pages in a row that are of the same categories."""

    start: int
    end: int
    categories: Category


def scan(
    pid: int,
    start: int,
    end: int,
    *,
    all_of: Category = NONE,
    any_of: Category = NONE,
    none_of: Category = NONE,
    tell: Category = KNOWN,
    protect: bool = False,
) -> list[Region]:
    """Return the pages between two addresses that have categories, and what to ``tell`` of them.

    With ``protect`` they are write-protected in the same step, which takes a range that is
    registered with asynchronous write-protection (``EPERM`` otherwise). ``Unavailable`` before
    Linux 6.7.
    """
    if all_of & none_of or (any_of and not any_of & ~none_of):
        return []
    found: list[Region] = []
    room = ctypes.create_string_buffer(24 * _ROOM)
    flags = _WP_MATCHING | _CHECK_WPASYNC if protect else 0
    want = (none_of, all_of | none_of, any_of & ~none_of, tell)
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while start < end:
            head = (96, flags, start, end, 0, ctypes.addressof(room), _ROOM, 0)
            data = bytearray(struct.pack("=12Q", *head, *want))
            regions = _scan(fd, data)
            for at in range(regions):
                first, last, categories = struct.unpack_from("=3Q", room, 24 * at)
                found.append(Region(first, last, Category(categories)))
            (start,) = struct.unpack_from("=Q", data, 32)
    finally:
        os.close(fd)
    return found


def _scan(fd: int, data: bytearray) -> int:
    try:
        return int(fcntl.ioctl(fd, _SCAN, data))
    except OSError as error:
        if error.errno == errno.ENOTTY:
            what = "this kernel has no PAGEMAP_SCAN"
            raise Unavailable(what, "boot Linux 6.7 or newer") from error
        raise


def clear_soft_dirty(pid: int) -> None:
    """Clear the soft-dirty bits of all pages of a process; a store sets that of its page again."""
    Path(f"/proc/{pid}/clear_refs").write_text("4")
