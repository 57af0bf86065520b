"""Which kernel is meant, and what Debian's tools say and do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.live.images import image

from refault.live.abi import Unavailable
from refault.live.vm.debian import Package, choose, order, parse_madison
from refault.live.vm.kernel import from_path, parse, release_of

MADISON = """\
linux-image-6.1.0-47-cloud-amd64 |  6.1.170-3 | http://mirror.example/debian bookworm/main amd64 Packages
linux-image-6.1.0-56-cloud-amd64-unsigned | 6.1.192-2 | http://mirror.example/security bookworm-security/main amd64 Packages
linux-image-6.1.0-56-cloud-amd64 |  6.1.192-2 | http://mirror.example/security bookworm-security/main amd64 Packages
linux-image-6.1.0-56-rt-amd64 |  6.1.192-2 | http://mirror.example/security bookworm-security/main amd64 Packages
linux-image-6.1.0-56-amd64-dbg |  6.1.192-2 | http://mirror.example/security bookworm-security/main amd64 Packages
linux-image-6.1.0-57-amd64 |  6.1.193-1 | http://mirror.example/security bookworm-security/main amd64 Packages
linux-image-6.12-cloud-amd64 | 6.12.117-1~deb12u1 | http://mirror.example/security bookworm-security/main amd64 Packages
linux-image-6.12.9+deb12-cloud-amd64 | 6.12.9-1~deb12u1 | http://mirror.example/debian bookworm/main amd64 Packages
linux-image-6.12.117+deb12-cloud-amd64 | 6.12.117-1~deb12u1 | http://mirror.example/security bookworm-security/main amd64 Packages
linux-image-7.2.5-amd64-unsigned |     7.2.5-1 | http://mirror.example/debian sid/main amd64 Packages
"""  # noqa: E501


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("6.1", "linux-image-6.1.0-56-cloud-amd64"),
        ("6.1.170", "linux-image-6.1.0-47-cloud-amd64"),
        ("6.1.0-47", "linux-image-6.1.0-47-cloud-amd64"),
        ("6.12", "linux-image-6.12.117+deb12-cloud-amd64"),
        ("6.12.9", "linux-image-6.12.9+deb12-cloud-amd64"),
        ("7.2", "linux-image-7.2.5-amd64-unsigned"),
    ],
)
def test_the_newest_kernel_of_a_version_is_chosen_for_clouds_if_it_can_be(
    asked: str, name: str
) -> None:
    assert choose(parse_madison(MADISON), asked).name == name


@pytest.mark.parametrize("asked", ["6.6", "6", "6.1.1", "6.1.0-4"])
def test_versions_that_are_not_there_are_answered_by_those_that_are(asked: str) -> None:
    there = parse_madison(MADISON)
    if asked == "6":
        there = [package for package in there if package.series == "7.2"]
    known = "7.2" if asked == "6" else "6.1, 6.12, 7.2"
    with pytest.raises(Unavailable) as error:
        choose(there, asked)
    assert error.value.message == f"apt knows no Debian kernel {asked}; it knows {known}"


def test_metapackages_and_other_flavours_are_no_kernels_of_ours() -> None:
    names = {package.name for package in parse_madison(MADISON)}
    assert not [name for name in names if "rt" in name or "dbg" in name]
    assert "linux-image-6.12-cloud-amd64" not in names
    others = ("6.12-rc6-amd64", "6.5.0-0.deb12.4-cloud-amd64", "6.18.1+deb13-cloud-amd64-unsigned")
    text = "".join(f"linux-image-{name} | 1-1 | x\n" for name in others)
    assert len(parse_madison(text)) == len(others)


ASCENDING = (
    "6.1~rc3-1~exp1", "6.1~rc3-1", "6.1-1~bpo1", "6.1-1", "6.1-1+b1", "6.1.9-1", "6.1.10-1",
    "6.1.10-2", "6.1.10-10", "6.12-1", "1:0.1-1",
)  # fmt: skip


def test_versions_are_ordered_as_dpkg_does() -> None:
    assert sorted(set(ASCENDING), key=order) == list(ASCENDING)


# A Debian machine in a folder: its tools are scripts that say what they were recorded to say.

APT_CACHE = """#!/bin/sh
case "$1" in
pkgnames) cut -d' ' -f1 "$HERE/madison" ;;
madison) cat "$HERE/madison" ;;
esac
"""
APT_GET = """#!/bin/sh
echo "$@" >>"$HERE/asked"
[ -e "$HERE/offline" ] && { echo "E: Failed to fetch http://x" >&2; exit 100; }
case "$*" in
*update*) [ ! -e "$HERE/later" ] || cp "$HERE/later" "$HERE/madison" ;;
*download*6.1.0-56*) touch some.deb ;;
*download*) echo "E: Failed to fetch http://x  404  Not Found" >&2; exit 100 ;;
esac
"""
DPKG_DEB = """#!/bin/sh
mkdir -p "$3/boot" "$3/lib/modules/r/kernel"
cp "$HERE/image" "$3/boot/vmlinuz-r"
printf '\\0depends=kvm\\0' >"$3/lib/modules/r/kernel/kvm-amd.ko"
printf '\\0depends=\\0' >"$3/lib/modules/r/kernel/kvm.ko"
printf '\\0depends=\\0' >"$3/lib/modules/r/kernel/sound.ko"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "debian"
    (here / "bin").mkdir(parents=True)
    for name, text in {"apt-cache": APT_CACHE, "apt-get": APT_GET, "dpkg-deb": DPKG_DEB}.items():
        (here / "bin" / name).write_text(text)
        (here / "bin" / name).chmod(0o755)
    (here / "madison").write_text(MADISON)
    (here / "image").write_bytes(image("6.1.0-56-cloud-amd64"))
    monkeypatch.setenv("HERE", str(here))
    monkeypatch.setenv("PATH", f"{here}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return here


def test_a_kernel_is_fetched_once(machine: Path, tmp_path: Path) -> None:
    said: list[str] = []
    kernel = parse("debian:6.1", said.append)
    assert str(kernel) == "6.1.0-56-cloud-amd64"
    assert said[0] == "downloading linux-image-6.1.0-56-cloud-amd64 6.1.192-2"
    assert list(kernel.to_load()) == ["kvm", "kvm_amd"]
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert kept == {"vmlinuz", "kvm.ko", "kvm_amd.ko"}
    assert parse("debian:6.1", said.append) == kernel
    assert len((machine / "asked").read_text().splitlines()) == 1


def test_a_kernel_that_was_fetched_is_there_without_network_and_without_apt(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = parse("debian:6.1")
    (machine / "offline").touch()
    (machine / "madison").write_text(MADISON.replace("6.1.0-56", "6.1.0-99"))
    assert parse("debian:6.1") == kernel
    monkeypatch.setenv("PATH", "/nowhere")
    assert parse("debian:6.1") == kernel
    with pytest.raises(Unavailable, match="no apt"):
        parse("debian:6.12")


def test_without_network_it_is_said_what_failed(machine: Path) -> None:
    (machine / "offline").touch()
    with pytest.raises(Unavailable, match="Failed to fetch") as error:
        parse("debian:6.1")
    assert "network" in error.value.remedy
    assert not list(machine.parent.glob("cache/refault/kernels/.*")), "nothing half done is left"


def test_lists_are_fetched_where_there_are_none(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "madison").rename(machine / "later")
    (machine / "madison").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="none at all") as error:
        parse("debian:6.1")
    assert "apt-get update" in error.value.remedy
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said: list[str] = []
    assert parse("debian:6.1", said.append).release == "6.1.0-56-cloud-amd64"
    assert said[0] == "updating the lists of packages"


def test_lists_are_fetched_anew_where_what_they_say_is_gone(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (machine / "madison").rename(machine / "later")
    (machine / "madison").write_text(MADISON.replace("6.1.0-56", "6.1.0-55"))
    assert parse("debian:6.1").release == "6.1.0-56-cloud-amd64"
    asked = (machine / "asked").read_text().splitlines()
    assert [line.split()[-1].split("=")[0] for line in asked] == [
        "linux-image-6.1.0-55-cloud-amd64", "update", "linux-image-6.1.0-56-cloud-amd64"
    ]  # fmt: skip
    (machine / "later").unlink()
    with pytest.raises(Unavailable, match="404"):
        parse("debian:6.12")


@pytest.mark.parametrize("text", ["debian:", "debian:bookworm", "debian:6.1;ls", "debian:../6.1"])
def test_what_is_no_version_is_not_looked_for(machine: Path, text: str) -> None:
    with pytest.raises(Unavailable, match="no version"):
        parse(text)
    assert not (machine / "asked").exists()


def test_a_path_names_a_kernel_and_its_modules_are_found_beside_it(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "vmlinuz").write_bytes(image("6.6.6-own"))
    assert parse(str(boot / "vmlinuz")).modules is None
    modules = tmp_path / "lib/modules/6.6.6-own"
    modules.mkdir(parents=True)
    assert parse(str(boot / "vmlinuz")).modules == modules
    assert parse(f"{boot / 'vmlinuz'},modules={tmp_path}").modules == tmp_path
    with pytest.raises(Unavailable, match="is no folder"):
        parse(f"{boot / 'vmlinuz'},modules={tmp_path}/absent")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no kernel image"),
        (b"#!/bin/sh\n", "no kernel image"),
        (b"\x7fELF\x02\x01" + bytes(1000), "an ELF file, not a bzImage"),
    ],
)
def test_what_is_no_kernel_is_said_to_be_none(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(Unavailable, match=says) as error:
        from_path(tmp_path / "x")
    assert "bzImage of a build" in error.value.remedy


def test_a_file_that_is_not_there_and_a_scheme_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file") as error:
        release_of(tmp_path / "absent")
    assert "debian:VERSION" in error.value.remedy
    with pytest.raises(Unavailable, match="kernels of 'fedora' are not known"):
        parse("fedora:40")


def test_packages_of_equal_rank_are_told_apart_by_version() -> None:
    old, new = (Package("linux-image-6.1.0-9-amd64", f"6.1.{n}-1") for n in (9, 10))
    assert choose([new, old], "6.1") == choose([old, new], "6.1") == new
