"""What there is to know of programs and shared libraries: what they load, what of them is loaded.

source: the ELF specification, and ``ld.so(8)`` for ``--list``
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

from ..abi import Unavailable

_PT_INTERP = 3
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LISTED = re.compile(r"^\s*(?:\S+ => )?(/\S+)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)


class NotElf(ValueError):
    """The bytes are not those of a 64-bit program for a little-endian machine."""


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """Kind, offset and size in the file of each segment."""
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < _HEADER.size:
        raise NotElf("no ELF header of a 64-bit little-endian machine")
    fields = _HEADER.unpack_from(data)
    start, size, count = fields[5], fields[9], fields[10]
    found = []
    for index in range(count):
        kind, _, offset, _, _, length, _, _ = _SEGMENT.unpack_from(data, start + index * size)
        found.append((kind, offset, length))
    return found


def interpreter(data: bytes) -> str:
    """The path of the dynamic linker that a program asks for; empty for a static one."""
    for kind, offset, length in _segments(data):
        if kind == _PT_INTERP:
            return data[offset : offset + length].rstrip(b"\0").decode()
    return ""


def stripped(data: bytes) -> bytes:
    """What is loaded of a program or library: no sections, so no symbols for debuggers either."""
    end = max(offset + length for _, offset, length in _segments(data))
    kept = bytearray(data[:end])
    fields = list(_HEADER.unpack_from(kept))
    fields[6] = fields[12] = fields[13] = 0
    _HEADER.pack_into(kept, 0, *fields)
    return bytes(kept)


def parse_list(text: str) -> list[Path]:
    """Paths in what ``ld.so --list`` says."""
    return [Path(path) for path in _LISTED.findall(text)]


def libraries(linker: str, path: Path) -> list[Path]:
    """The libraries that a program or library needs, directly or not; asks the linker itself."""
    asked = subprocess.run(
        [linker, "--list", path], capture_output=True, text=True, check=False, timeout=60
    )
    if "not found" in asked.stdout or asked.returncode:
        said = (asked.stdout + asked.stderr).strip().splitlines()
        raise Unavailable(
            f"{path}: the libraries that it needs are not known: {said[-1] if said else 'none'}",
            f"see what `ldd {path}` says",
        )
    return [found for found in parse_list(asked.stdout) if found != Path(linker)]
