"""Files that look like kernels."""

from __future__ import annotations

import struct


def image(release: str) -> bytes:
    """Return what every bzImage begins with, with a release."""
    head = bytearray(0x400)
    head[0x1FE:0x206] = b"\x55\xaa\0\0HdrS"
    struct.pack_into("<H", head, 0x20E, 0x100)
    return bytes(head[:0x300]) + release.encode() + b" (who@where) #1 SMP\0" + bytes(64)
