"""Archives that the kernel unpacks into its first file system: cpio in the ``newc`` form.

An archive is a function of its entries alone: they are sorted, all belong to root, and their time
is 0. So device nodes need no privilege, and equal contents give equal bytes.

source: Documentation/driver-api/early-userspace/buffer-format.rst
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """A file: its mode with its type, what is in it, and of a device its numbers."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


FOLDER = Entry(stat.S_IFDIR | 0o755)


def plain(data: bytes, *, executable: bool = False) -> Entry:
    """An ordinary file."""
    return Entry(stat.S_IFREG | (0o755 if executable else 0o644), data)


def symlink(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def character_device(major: int, minor: int) -> Entry:
    """A node of a character device."""
    return Entry(stat.S_IFCHR | 0o600, device=(major, minor))


def with_folders(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Add the folders that the paths need; each comes before what is in it."""
    folders = {str(up) for path in entries for up in PurePosixPath(path).parents} - {"."}
    return dict(sorted({**dict.fromkeys(folders, FOLDER), **entries}.items()))


def archive(entries: Mapping[str, Entry]) -> bytes:
    """Return the archive of files by their paths, which are relative to the root."""
    if wrong := [p for p in entries if p.startswith("/") or ".." in PurePosixPath(p).parts]:
        raise ValueError(f"not a path below the root: {wrong[0]}")
    parts: list[bytes] = []
    for number, (path, entry) in enumerate(with_folders(entries).items(), 1):
        parts += _member(number, path, entry)
    parts += _member(0, TRAILER, Entry(0))
    return b"".join(parts)


def _member(number: int, path: str, entry: Entry) -> tuple[bytes, bytes]:
    """Header with name, and data, each filled up to a multiple of four."""
    name = os.fsencode(path) + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    size = len(entry.data)
    fields = (number, entry.mode, 0, 0, links, 0, size, 0, 0, *entry.device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head), _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
