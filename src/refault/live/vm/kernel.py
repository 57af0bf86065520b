"""A kernel to boot: its image, its release, its modules; and how a person says which.

source: Documentation/arch/x86/boot.rst, for the header of an image
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..abi import Unavailable
from . import debian, kmod

Progress = Callable[[str], None]
"""Told what is going on, in a few words such as ``booting 6.1.0-13-amd64, 3 s``."""


def quiet(_said: str) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Kernel:
    """An image that boots; ``modules`` is a folder below which its modules are, if it has any."""

    image: Path
    release: str
    modules: Path | None = None

    def __str__(self) -> str:
        return self.release

    def to_load(self) -> dict[str, bytes]:
        """The modules that probes need, in the order in which they are to be loaded."""
        return kmod.in_order(kmod.WANTED, self.modules) if self.modules else {}


def release_of(image: Path) -> str:
    """Return the release that a bzImage names; ``Unavailable`` if it is none, or not there."""
    try:
        with image.open("rb") as file:
            head = file.read(0x10000)
    except OSError as error:
        raise Unavailable(
            f"{image}: {error.strerror}", "give the path of a kernel image, or debian:VERSION"
        ) from error
    if head[0x1FE:0x200] != b"\x55\xaa" or head[0x202:0x206] != b"HdrS":
        what = "an ELF file" if head.startswith(b"\x7fELF") else "no kernel image"
        raise Unavailable(
            f"{image} is {what}, not a bzImage for x86",
            "give the vmlinuz of a package, or arch/x86/boot/bzImage of a build",
        )
    (where,) = struct.unpack_from("<H", head, 0x20E)
    text = head[where + 0x200 :].partition(b"\0")[0] if where else b""
    return text.decode(errors="replace").partition(" ")[0] or image.name


def from_path(image: Path, modules: Path | None = None) -> Kernel:
    """Return the kernel in a file; its modules are looked for where packages have them."""
    release = release_of(image)
    if modules is not None and not modules.is_dir():
        raise Unavailable(f"{modules} is no folder", "give the folder of the kernel's modules")
    if modules is None:
        up = image.resolve().parent
        near = (root / "lib/modules" / release for root in (up, up.parent, Path("/")))
        modules = next((place for place in near if place.is_dir()), None)
    return Kernel(image, release, modules)


def parse(text: str, progress: Progress = quiet) -> Kernel:
    """Return the kernel that ``--vm`` names, fetched if need be.

    * ``PATH`` or ``PATH,modules=FOLDER``: a bzImage, with modules of its own release;
    * ``debian:VERSION``: the newest package of that version that apt knows, such as
      ``debian:6.1`` or ``debian:6.12.100``.
    """
    scheme, colon, version = text.partition(":")
    if colon and scheme == "debian":
        return from_path(*debian.fetch(version, progress))
    if colon and scheme.isalnum() and not Path(text).exists():
        raise Unavailable(
            f"{text}: kernels of {scheme!r} are not known", "give debian:VERSION, or a path"
        )
    path, comma, modules = text.partition(",modules=")
    return from_path(Path(path), Path(modules) if comma else None)
