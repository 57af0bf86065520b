"""The first and only file system of a guest: Python as its init, this package, kernel modules."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from . import interpreter
from .cache import folder
from .cpio import FOLDER, Entry, archive, character_device, plain

INIT = b"from refault.live.vm.guest.init import main\nmain()\n"
KEPT = 8
"""Archives that stay in the cache: a few kernels, a few states of the sources."""


def open_for(modules: Mapping[str, bytes]) -> int:
    """Return the archive with these kernel modules, open: it may be forgotten before it is read."""
    while True:
        with suppress(FileNotFoundError):
            return os.open(path_for(modules), os.O_RDONLY | os.O_CLOEXEC)


def path_for(modules: Mapping[str, bytes]) -> Path:
    """Return the path of the archive, made now unless it is in the cache.

    ``modules`` are in the order in which they are to be loaded. Its name is a hash of all that
    it depends on.
    """
    place = folder("initramfs")
    digest = hashlib.sha256()
    named = (part for name, data in modules.items() for part in (name.encode(), data))
    for part in (*interpreter.identity(), *named):
        digest.update(len(part).to_bytes(8, "little") + part)
    path = place / f"{digest.hexdigest()[:24]}.cpio"
    with suppress(FileNotFoundError):
        os.utime(path)
        return path
    _write(path, archive({**interpreter.files(), **system(modules)}))
    _forget(place)
    return path


def system(modules: Mapping[str, bytes]) -> dict[str, Entry]:
    """What is not Python: places to mount on, the console, kernel modules and their order."""
    entries = dict.fromkeys(("dev", "proc", "sys", "tmp", "run"), FOLDER)
    entries["dev/console"] = character_device(5, 1)
    entries["init.py"] = plain(INIT)
    entries["modules/order"] = plain("".join(f"{name}\n" for name in modules).encode())
    entries |= {f"modules/{name}.ko": plain(data) for name, data in modules.items()}
    return entries


def _write(path: Path, data: bytes) -> None:
    """Write all of it or nothing, whoever else does the same."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _forget(place: Path) -> None:
    """Remove what was not used for the longest time."""
    dated = []
    for path in place.glob("*.cpio"):
        with suppress(FileNotFoundError):
            dated.append((path.stat().st_mtime, path))
    for _, path in sorted(dated)[:-KEPT]:
        path.unlink(missing_ok=True)
