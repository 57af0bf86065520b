"""Kernels that Debian packages: which there are, by its own tools, and one of them unpacked.

Nothing is installed. A package is downloaded by ``apt-get download``, which checks signatures as
apt does; of what is in it the image and the modules that probes need are kept in the user's cache.

source: deb-version(7) for the order of versions
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..abi import Unavailable
from . import kmod
from .cache import folder

REMEDY = "give the path of a kernel image instead"
_NAME = re.compile(
    r"linux-image-\d+\.\d+(\.[\w.+~]+|-rc\d+)(-\d[\w.+~]*)?(-cloud)?-amd64(-unsigned)?"
)
"""No metapackages, which have no third number, and no flavours but that for clouds."""

_PARTS = re.compile(r"(\D*)(\d*)")


class Package(NamedTuple):
    """A package of a kernel, and its version."""

    name: str
    version: str

    @property
    def series(self) -> str:
        """``6.12`` of ``linux-image-6.12.9-amd64``."""
        return ".".join(self.name.split("-")[2].split(".")[:2])

    @property
    def rank(self) -> tuple[bool, bool, object]:
        """What is preferred is greater: for clouds, signed, new."""
        return "-cloud-" in self.name, not self.name.endswith("-unsigned"), order(self.version)

    def is_of(self, version: str) -> bool:
        """Whether its version, or the one in its name, is ``version`` or begins with it."""
        begins = re.compile(re.escape(version) + r"(?!\d)")
        return any(begins.match(own) for own in (self.version, self.name.split("-", 2)[2]))


def order(version: str) -> tuple[object, ...]:
    """Return a key that orders versions as dpkg does."""
    epoch, colon, rest = version.partition(":")
    upstream, _, revision = (rest if colon else version).rpartition("-")
    if not upstream:
        upstream, revision = revision, "0"
    return int(epoch) if colon else 0, _order(upstream), _order(revision)


def _order(text: str) -> tuple[object, ...]:
    """Letters before other marks, ``~`` before the end; numbers by value."""
    keys: list[object] = []
    for marks, number in _PARTS.findall(text):
        weights = [-1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 256 for c in marks]
        keys += [(*weights, 0), int(number or 0)]
    return tuple(keys)


def parse_madison(text: str) -> list[Package]:
    """Return the kernels in what ``apt-cache madison`` says: ``name | version | source`` a line."""
    found = set()
    for line in text.splitlines():
        name, version, *_ = (*(field.strip() for field in line.split("|")), "", "")
        if _NAME.fullmatch(name):
            found.add(Package(name, version))
    return sorted(found)


def choose(packages: Iterable[Package], version: str) -> Package:
    """Return the best package of a version; ``Unavailable`` says which versions there are."""
    there = list(packages)
    fitting = [package for package in there if package.is_of(version)]
    if fitting:
        return max(fitting, key=lambda package: package.rank)
    known = sorted({p.series for p in there}, key=order)
    remedy = "choose one of these" if known else "run `apt-get update` as root"
    raise Unavailable(
        f"apt knows no Debian kernel {version}; it knows {', '.join(known) or 'none at all'}",
        f"{remedy}, or {REMEDY}",
    )


def fetch(version: str, progress: Callable[[str], None]) -> tuple[Path, Path]:
    """Return image and folder of modules of a Debian kernel, from the cache or downloaded."""
    if not re.fullmatch(r"\d+\.\d+[\w.+~-]*", version):
        raise Unavailable(f"debian:{version}: that is no version", "give one such as debian:6.1")
    kept = folder("kernels")
    try:
        place = _fetched(kept, version, available(progress), progress)
    except Unavailable:
        if not (found := _newest(kept, version)):
            raise
        place = found
    return place / "vmlinuz", place / "modules"


def _fetched(
    kept: Path, version: str, known: list[Package], progress: Callable[[str], None]
) -> Path:
    """Where the best package of a version is kept, now that it is; old lists are fetched anew."""
    package = choose(known, version)
    place = kept / _place(package)
    if place.exists():
        return place
    try:
        _download(package, place, progress)
    except Unavailable:
        newer = _updated(progress) if os.geteuid() == 0 else known
        if newer == known:
            raise
        return _fetched(kept, version, newer, progress)
    return place


def _place(package: Package) -> str:
    """A name in the cache; what is kept of a package belongs to it."""
    wanted = hashlib.sha256(" ".join(kmod.WANTED).encode()).hexdigest()[:8]
    return f"{package.name}_{package.version}_{wanted}".replace(":", "%3a")


def _newest(kept: Path, version: str) -> Path | None:
    """The best kernel in the cache, where apt cannot help."""
    there = {}
    for place in kept.glob("linux-image-*_*_*"):
        package = Package(*place.name.replace("%3a", ":").split("_")[:2])
        if place.name == _place(package) and package.is_of(version):
            there[package] = place
    return there[max(there, key=lambda package: package.rank)] if there else None


def available(progress: Callable[[str], None]) -> list[Package]:
    """All kernels that apt knows; its lists are fetched if it has none and we may."""
    if not (shutil.which("apt-cache") and shutil.which("dpkg-deb")):
        raise Unavailable("there is no apt on this machine", REMEDY)
    found = _known()
    return found or (_updated(progress) if os.geteuid() == 0 else [])


def _updated(progress: Callable[[str], None]) -> list[Package]:
    """All kernels that apt knows after it has asked its sources."""
    progress("updating the lists of packages")
    _run(["apt-get", "-q", "update"], seconds=300)
    return _known()


def _known() -> list[Package]:
    names = _run(["apt-cache", "pkgnames", "linux-image-"]).split()
    kernels = [name for name in names if _NAME.fullmatch(name)]
    return parse_madison(_run(["apt-cache", "madison", *kernels])) if kernels else []


def _download(package: Package, place: Path, progress: Callable[[str], None]) -> None:
    """Download a package and keep what is needed of it at ``place``, all or nothing."""
    progress(f"downloading {package.name} {package.version}")
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as name:
        work = Path(name)
        asked = f"{package.name}={package.version}"
        sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        _run(["apt-get", "-q", *sandbox, "download", asked], cwd=work, seconds=600)
        progress(f"unpacking {package.name}")
        _run(["dpkg-deb", "-x", str(next(work.glob("*.deb"))), "tree"], cwd=work, seconds=300)
        _keep(work / "tree", work / "kept")
        try:
            (work / "kept").rename(place)
        except OSError:
            if not place.exists():  # else another process was faster
                raise


def _keep(tree: Path, kept: Path) -> None:
    """Take over the image, and the modules that probes need."""
    (kept / "modules").mkdir(parents=True)
    next(tree.glob("boot/vmlinuz-*")).rename(kept / "vmlinuz")
    for name, data in kmod.in_order(kmod.WANTED, tree).items():
        (kept / "modules" / f"{name}.ko").write_bytes(data)


def _run(command: list[str], *, cwd: Path | None = None, seconds: float = 60) -> str:
    """Run a tool in plain English; returns what it says."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        said = f"{' '.join(command[:2])} took more than {seconds:g} s"
        raise Unavailable(said, f"see whether the network is there, or {REMEDY}") from error
    if done.returncode:
        said = next((x for x in done.stderr.splitlines() if x.startswith("E: ")), "E: failed")
        raise Unavailable(
            f"{' '.join(command[:4])}: {said[3:]}",
            f"see whether the network is there and `apt-get update` works, or {REMEDY}",
        )
    return done.stdout
