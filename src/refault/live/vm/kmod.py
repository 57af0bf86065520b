"""Kernel modules: which there are below a folder, what each depends on, in what order to load them.

Packages bring no ``modules.dep``: it is made when they are installed. What a module depends on is
written in the module itself, so that is read.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ..abi import Unavailable

WANTED = ("kvm_amd",)
"""Modules that probes need; the processor that is emulated has AMD's virtualization."""


def name_of(path: Path) -> str:
    """``kvm_amd`` for ``kvm-amd.ko.xz``: to the kernel both marks are one."""
    return path.name.split(".ko")[0].replace("-", "_")


def find(folder: Path) -> dict[str, Path]:
    """All modules below a folder, compressed or not, by their names."""
    return {name_of(path): path for path in sorted(folder.rglob("*.ko*")) if _is_module(path)}


def _is_module(path: Path) -> bool:
    return path.name.endswith((".ko", ".ko.xz", ".ko.gz", ".ko.zst")) and path.is_file()


def read(path: Path) -> bytes:
    """Return a module as the kernel takes it, decompressed."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return _zstd(path, data) if path.suffix == ".zst" else data


def _zstd(path: Path, data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415

        return bytes(zstd.decompress(data))
    if not (tool := shutil.which("zstd")):
        raise Unavailable(
            f"{path} is compressed with zstd", "install zstd, or run with Python 3.14"
        )
    done = subprocess.run([tool, "-dc"], input=data, capture_output=True, check=True, timeout=60)
    return done.stdout


def depends(data: bytes) -> tuple[str, ...]:
    """The modules that one must find loaded; empty too where it does not say."""
    _, found, rest = data.partition(b"\0depends=")
    names = rest.partition(b"\0")[0].decode() if found else ""
    return tuple(name.replace("-", "_") for name in names.split(",") if name)


def in_order(wanted: Iterable[str], folder: Path) -> dict[str, bytes]:
    """Wanted modules and all that they depend on, each after what it depends on.

    What is not below the folder is left out: it is built in, or the kernel does without.
    """
    there = find(folder)
    ordered: dict[str, bytes] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in ordered or name not in there:
            return
        if name in above:
            raise ValueError(f"modules depend on each other: {' -> '.join((*above, name))}")
        data = read(there[name])
        for below in depends(data):
            add(below, (*above, name))
        ordered[name] = data

    for name in wanted:
        add(name.replace("-", "_"), ())
    return ordered
