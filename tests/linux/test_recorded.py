"""What recordings of real kernels have shown of the model, as stories with known endings."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import refault
from refault.explore import Violation
from refault.linux import Kernel
from refault.linux.fs.pipe import Pipe
from refault.linux.include.uapi.errno import EFAULT, EINTR
from refault.linux.include.uapi.signal import SIGKILL
from refault.linux.syscalls import (
    kvm_run,
    madvise_populate,
    process_vm_readv,
    process_vm_writev,
    write_pipe,
)
from refault.linux.user import COPIED
from refault.patches import resolve
from refault.scenarios.api import from_function


def expect(condition: bool, what: object = "") -> None:
    if not condition:
        raise Violation("test failed", str(what))


def ends(story: object, variant: str = "") -> str:
    return from_function(story).check(variant, time=60).kind  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", ["", "6.1", "5.10"])
def test_filling_fresh_memory_gives_it_an_anon_vma(variant: str) -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page = process.mmap(uffd=uffd, fresh=True)

        @k.thread
        def monitor() -> None:
            expect(uffd.copy(page) == 0x1000)
            expect(bool(page.vma.anon_vma.read()), "no anon_vma")

    assert ends(story, variant) == "holds"


def test_shared_memory_is_filled_without_one() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page = process.mmap(uffd=uffd, file=k.tmpfs_file(cached=False), shared=True)

        @k.thread
        def monitor() -> None:
            expect(uffd.copy(page) == 0x1000)
            expect(not page.vma.anon_vma.read(), "an anon_vma")

    assert ends(story) == "holds"


@pytest.mark.parametrize("variant", ["", "6.1", "5.10"])
def test_a_page_that_userfaultfd_has_brought_can_be_pinned_to_be_read(variant: str) -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()
        k.monitor(uffd)

        @k.thread
        def debugger() -> None:
            expect(process_vm_readv(page).data == (COPIED,))

    assert ends(story, variant) == "holds"


@pytest.mark.parametrize("contents", ["page", ""])
def test_what_a_guest_has_read_it_may_write_if_its_host_may(contents: str) -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents=contents)
        vm = k.kvm(page)

        @k.thread
        def vcpu() -> None:
            kvm_run(vm, page)
            spte = vm.sptes[page.address].read()
            expect(spte is not None and spte.write == (contents == "page"), spte)

    assert ends(story) == "holds"


def test_a_guest_fetches_its_instruction_first() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page, code = process.mmap(contents="page"), process.mmap(contents="page")
        vm = k.kvm(page)

        @k.thread
        def vcpu() -> None:
            kvm_run(vm, page, code=code)
            expect(all(vm.sptes[p.address].read() is not None for p in (page, code)))

    assert ends(story) == "holds"


def test_a_pipe_is_told_of_bytes_that_never_came() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, user_mode_only=True)
        missing, there = process.mmap(uffd=uffd), process.mmap(contents="page")
        pipe = Pipe(k.program)

        @k.thread
        def writer() -> None:
            expect(write_pipe(pipe, missing, 100) == -EFAULT)
            expect(write_pipe(pipe, there, 100) == 100)

    assert ends(story) == "holds"


def test_mmap_lock_is_given_back_when_a_fault_has_dropped_it() -> None:
    """Whoever holds it, lockdep would know; and a writer gets it in the end."""

    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()
        k.monitor(uffd)

        @k.thread
        def reader() -> None:
            expect(process_vm_writev(page, 3) == 1)
            expect(madvise_populate(page) == 0)

        @k.thread
        def writer() -> None:
            page.mprotect(page.vma.vm_flags.read())

    assert ends(story) == "holds"


def test_a_killed_populate_ends() -> None:
    def story(k: Kernel) -> None:
        page, _uffd = k.uffd_page()

        @k.thread(process=page)
        def populates() -> None:
            expect(madvise_populate(page) == -EINTR)

        @k.thread
        def kills() -> None:
            k.kill(populates, SIGKILL)

    assert ends(story) == "holds"


@pytest.mark.parametrize(
    ("patch", "version"),
    [
        ("gup_locks_killable", "6.2"),
        ("populate_retries", "6.8"),
        ("uffd_wp_upgrades", "6.2"),
        ("mprotect_flushes_less", "5.18"),
    ],
)
def test_what_older_kernels_lack(patch: str, version: str) -> None:
    assert patch in {p.name for p in resolve(version).patches}
    assert patch not in {p.name for p in resolve("").patches}


def test_recordings_go_into_packages() -> None:
    root = Path(refault.__file__).parents[2]
    if not (root / "pyproject.toml").exists():
        pytest.skip("installed, not in its tree")
    declared = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package, patterns in declared["package-data"].items():
        folder = root / "src" / package.replace(".", "/")
        for pattern in patterns:
            assert list(folder.glob(pattern)), (package, pattern)
