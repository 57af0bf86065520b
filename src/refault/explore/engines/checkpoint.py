"""Checkpoints: a search of states that was stopped goes on in another process.

Fingerprints mean the same in every process (see ``keys``), so the table of a search can be kept.
The behaviour tables cannot, for they stand for running Python; but they are a function of the
order in which their entries were asked for, and that order is kept: asking again in the same
order gives the same tables, ids and all. A digest of all local states tells whether it did; if
the model has changed since, the checkpoint is refused.

The file: a magic line, the length of the header, the header (MessagePack), the table as it lies
in memory. It is written beside its place, synced and renamed, so a full disk or a crash leaves
the one before.
"""

from __future__ import annotations

import contextlib
import os
import platform
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from refault import __version__

from ..errors import UserError
from ..tables.futures import TAKEN, Futures, take
from ..trace import Finding
from .exploration import Exploration

MAGIC = b"refault checkpoint 2\n"
AGAIN = "begin the search again without --resume"


class Header(msgspec.Struct):
    """What a checkpoint holds beside the table of fingerprints."""

    version: str
    machine: str
    about: str
    reduce: bool
    restarts: int
    seconds: float
    digest: int
    log: list[tuple[int, int]]
    futures: bool
    findings: list[Finding]
    search: dict[str, Any]


def machine() -> str:
    """What the bytes of a table depend on."""
    return f"{sys.byteorder} {platform.machine()}"


def save(
    path: Path,
    exploration: Exploration,
    *,
    about: str,
    reduce: bool,
    restarts: int,
    seconds: float,
    futures: bool = False,
) -> None:
    """Write a checkpoint of the stopped search; raises ``OSError`` where that is not possible."""
    tables = exploration.tables
    if tables.orbits is not None:
        tables.orbits.finish()
    header = Header(
        version=__version__,
        machine=machine(),
        about=about,
        reduce=reduce,
        restarts=restarts,
        seconds=seconds,
        digest=tables.digest(),
        log=tables.log,
        futures=futures,
        findings=tables.findings,
        search=tables.core.save(),
    )
    packed = msgspec.msgpack.encode(header)
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(MAGIC + struct.pack("<Q", len(packed)) + packed)
            for number in range(len(header.search["segments"])):
                file.write(tables.core.segment(number))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def load(
    path: Path, exploration: Exploration, *, about: str, reduce: bool
) -> tuple[Header, Futures | None]:
    """Put a fresh exploration where the checkpoint was made; ``UserError`` says why not.

    With the header come the futures that the search relied on.
    """
    try:
        with path.open("rb") as file:
            header = _header(path, file)
            _refuse_others(path, header, about, reduce)
            futures = _restore(path, exploration, header)
            for number in range(len(header.search["segments"])):
                segment = memoryview(exploration.tables.core.segment(number)).cast("B")
                if file.readinto(segment) != segment.nbytes:
                    raise UserError(f"{path}: the checkpoint is cut short", AGAIN)
    except OSError as e:
        raise UserError(f"{path}: {e.strerror or e}", AGAIN) from e
    return header, futures if header.futures else None


def _header(path: Path, file: Any) -> Header:
    if file.read(len(MAGIC)) != MAGIC:
        raise UserError(f"{path} is not a checkpoint of this format", AGAIN)
    length = file.read(8)
    packed = file.read(struct.unpack("<Q", length)[0]) if len(length) == 8 else b""
    try:
        return msgspec.msgpack.decode(packed, type=Header, strict=False)
    except msgspec.DecodeError as e:
        raise UserError(f"{path}: the checkpoint is damaged: {e}", AGAIN) from e


def _refuse_others(path: Path, header: Header, about: str, reduce: bool) -> None:
    now = (__version__, machine(), about, reduce)
    then = (header.version, header.machine, header.about, header.reduce)
    names = ("version", "machine", "scenario", "reduction")
    for name, here, there in zip(names, now, then, strict=True):
        if here != there:
            raise UserError(f"{path}: made with {name} {there!r}, this is {here!r}", AGAIN)


def _restore(path: Path, exploration: Exploration, header: Header) -> Futures | None:
    tables = exploration.tables
    futures = None
    try:
        for node, value in header.log:
            if (node, value) == TAKEN:
                futures = take(tables)
            elif not tables.native.knows(node, value):  # the image of one before may be
                tables.fill(node, value)
    except (IndexError, AssertionError) as e:
        raise UserError(f"{path}: the model has changed since", AGAIN) from e
    if tables.digest() != header.digest or not tables.core.load(_renumbered(exploration, header)):
        raise UserError(f"{path}: the model has changed since", AGAIN)
    return futures


def _renumbered(exploration: Exploration, header: Header) -> dict[str, Any]:
    """The saved search with findings by their present numbers."""
    now = {old: exploration.number(f) for old, f in enumerate(header.findings)}
    search = dict(header.search)
    for name in ("counts", "paths", "targets"):
        search[name] = {now[old]: what for old, what in search[name].items()}
    return search
