"""What a guest is made of: the archive, the interpreter in it, and kernel modules in order."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refault.live.abi import Unavailable
from refault.live.vm import elf, initramfs, interpreter, kmod
from refault.live.vm.cpio import archive, character_device, plain, symlink


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/refault"


def members(data: bytes) -> Iterator[tuple[str, int, bytes, tuple[int, int]]]:
    """Read an archive by the kernel's description of it: name, mode, data and device."""
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, device, length = fields[1], fields[6], (fields[9], fields[10]), fields[11]
        name = data[at + 110 : at + 109 + length].decode()
        start = (at + 110 + length + 3) & ~3
        if name == "TRAILER!!!":
            assert start == len(data)
            return
        yield name, mode, data[start : start + size], device
        at = (start + size + 3) & ~3


FILES = {
    "dev/console": character_device(5, 1),
    "bin/x": plain(b"12345", executable=True),
    "bin/y": symlink("x"),
    "empty": plain(b""),
}


def test_an_archive_holds_what_was_put_in_with_its_folders_first() -> None:
    found = list(members(archive(FILES)))
    assert [name for name, *_ in found] == [
        "bin", "bin/x", "bin/y", "dev", "dev/console", "empty"
    ]  # fmt: skip
    by_name = {name: (mode, data, device) for name, mode, data, device in found}
    assert by_name["bin"] == (stat.S_IFDIR | 0o755, b"", (0, 0))
    assert by_name["bin/x"] == (stat.S_IFREG | 0o755, b"12345", (0, 0))
    assert by_name["bin/y"] == (stat.S_IFLNK | 0o777, b"x", (0, 0))
    assert by_name["dev/console"] == (stat.S_IFCHR | 0o600, b"", (5, 1))


def test_an_archive_depends_on_nothing_but_its_files() -> None:
    assert archive(FILES) == archive(dict(reversed(FILES.items())))


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b"])
def test_nothing_is_put_outside_the_root(path: str) -> None:
    with pytest.raises(ValueError, match="not a path below the root"):
        archive({path: plain(b"")})


@pytest.mark.skipif(not shutil.which("cpio"), reason="no cpio to compare with")
def test_cpio_reads_it(tmp_path: Path) -> None:
    listed = subprocess.run(["cpio", "-t"], input=archive(FILES), capture_output=True, check=True)
    assert listed.stdout.decode().split() == [name for name, *_ in members(archive(FILES))]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an archive, where they can be run."""
    root = tmp_path_factory.mktemp("root")
    data = archive({**interpreter.files(), **initramfs.system({})})
    for name, mode, content, _ in members(data):
        path = root / name
        if stat.S_ISDIR(mode):
            path.mkdir(parents=True, exist_ok=True)
        elif stat.S_ISREG(mode):
            path.write_bytes(content)
            path.chmod(stat.S_IMODE(mode))
    return root


def test_the_interpreter_runs_from_the_archive_alone(unpacked: Path) -> None:
    """With its own linker and libraries, and with no module of this machine in reach."""
    code = (
        "import sys, refault.live.kvm, refault.live.vm.guest.hello, traceback\n"
        "files = [m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]\n"
        "print(sum(f.startswith(sys.argv[1]) for f in files), len(files), sys.version)\n"
        "print('refault.explore' in sys.modules)\n"
    )
    linker = elf.interpreter((unpacked / interpreter.PYTHON).read_bytes())
    program = [unpacked / linker.lstrip("/"), unpacked / interpreter.PYTHON]
    done = subprocess.run(
        [*(program if linker else program[1:]), "-S", "-B", "-P", "-c", code, unpacked],
        env={"PYTHONHOME": str(unpacked), "LD_LIBRARY_PATH": str(unpacked / "lib")},
        cwd=unpacked,
        capture_output=True,
        text=True,
        check=True,
    )
    numbers, explored = done.stdout.rstrip().rsplit("\n", 1)
    inside, files, version = numbers.split(" ", 2)
    assert int(inside) == int(files) > 40
    assert version == sys.version
    assert explored == "False"


def test_a_guest_has_the_jobs_and_not_what_boots_it(unpacked: Path) -> None:
    there = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*.pyc")}
    own = {path.partition("/refault/")[2] for path in there if "/refault/" in path}
    assert {"live/puppet.pyc", "live/vm/guest/hello.pyc", "errors.pyc"} <= own
    assert not {"live/vm/machine.pyc", "live/vm/debian.pyc"} & own
    assert not [path for path in own if path.startswith(("linux/", "explore/"))]


def test_modules_of_the_host_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that boot guests import more of their kind, those of the model import that."""
    own, host = interpreter.for_guests(), ["refault.live.vm.machine", "refault.linux.modelled"]
    monkeypatch.setattr(interpreter, "for_guests", lambda: [*own, *host])
    names = {module.name for module in interpreter.modules()}
    assert {"refault.live.puppet", "refault.live.vm.guest.init"} <= names
    assert not names & {*host, "refault.explore", "refault.live.vm.channel", "greenlet"}


def test_a_virtual_environment_has_the_interpreter_behind_it(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    code = "from refault.live.vm import interpreter; print(interpreter.executable())"
    done = subprocess.run(
        [link, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == Path(sys.executable).resolve()


def test_what_is_not_loaded_is_not_taken_along() -> None:
    program = Path(interpreter.executable()).read_bytes()
    small = elf.stripped(program + b"symbols" * 1000)
    assert len(small) <= len(program)
    assert elf.interpreter(small) == elf.interpreter(program)
    with pytest.raises(elf.NotElf):
        elf.stripped(b"#!/bin/sh\n" * 20)


def test_paths_are_read_from_what_the_linker_lists() -> None:
    text = """\tlinux-vdso.so.1 (0x00007fba14048000)
\tlibpython3.11.so.1.0 => /opt/python/lib/libpython3.11.so.1.0 (0x00007fba13a00000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fba1381e000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007fba1404a000)
"""
    assert [str(path) for path in elf.parse_list(text)] == [
        "/opt/python/lib/libpython3.11.so.1.0",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ]


def module(path: Path, depends: str) -> None:
    """Put a module there that names what it depends on, as the kernel's build does."""
    data = b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(data) if path.suffix == ".xz" else data)


def test_modules_come_after_what_they_depend_on(tmp_path: Path) -> None:
    module(tmp_path / "kernel/arch/x86/kvm/kvm-amd.ko.xz", "kvm,ccp")
    module(tmp_path / "kernel/arch/x86/kvm/kvm.ko", "irqbypass")
    module(tmp_path / "kernel/virt/lib/irqbypass.ko", "")
    module(tmp_path / "kernel/other.ko", "")
    found = kmod.in_order(["kvm_amd"], tmp_path)
    assert list(found) == ["irqbypass", "kvm", "kvm_amd"], "ccp is built in"
    assert found["kvm_amd"].startswith(b"\x7fELF")
    assert kmod.in_order(["absent"], tmp_path) == {}


def test_modules_that_depend_on_each_other_are_an_error(tmp_path: Path) -> None:
    module(tmp_path / "a.ko", "b")
    module(tmp_path / "b.ko", "a")
    with pytest.raises(ValueError, match="a -> b -> a"):
        kmod.in_order(["a"], tmp_path)


def test_an_archive_is_made_once_and_anew_for_other_modules(cache: Path) -> None:
    first = initramfs.path_for({"a": b"1"})
    made = first.stat().st_ino
    assert initramfs.path_for({"a": b"1"}) == first
    assert first.stat().st_ino == made
    assert initramfs.path_for({"a": b"2"}) != first
    assert {path.suffix for path in cache.rglob("*") if path.is_file()} == {".cpio"}


def test_archives_that_nobody_uses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "files", dict)
    paths = [initramfs.path_for({"a": bytes([n])}) for n in range(initramfs.KEPT + 2)]
    assert paths[-1].exists()
    assert sum(path.exists() for path in paths) == initramfs.KEPT


def test_a_cache_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with pytest.raises(Unavailable, match="/proc/none/refault/initramfs") as error:
        initramfs.path_for({})
    assert "XDG_CACHE_HOME" in error.value.remedy
