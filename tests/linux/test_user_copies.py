"""Copies between kernel and user: what they leave, what they touch, what a call makes of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.linux.stories import found, run

from refault.explore import Program
from refault.linux import Kernel
from refault.linux.arch.x86.include.asm.cpufeatures import X86Feature
from refault.linux.arch.x86.lib.copy_user_64 import Move, Run, UserCopy
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.uapi.errno import EFAULT, EINTR
from refault.linux.include.uapi.signal import SIGKILL
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.lib import usercopy
from refault.linux.lib.usercopy import _copy_from_user as copy_from_user
from refault.linux.lib.usercopy import raw_copy_from_user
from refault.linux.mm.filemap_fault import filemap_fault
from refault.linux.mm.gup.fault_in import fault_in_readable, fault_in_writeable
from refault.linux.syscalls import ioctl_out, read_file, write_file
from refault.patches import find as patch

PAGES = 3
BEFORE = patch("copy_user_one_try").replaces


def copied(
    dead: int, offset: int, length: int, features: X86Feature, patched: Any = None
) -> tuple[UserCopy, int]:
    """Copy from three pages of which one is dead; returns what came of it, and its faults."""
    seen: list[UserCopy] = []
    faults: list[int] = []

    def story(k: Kernel) -> None:
        k.cpu_features = features

        def fault(vmf: VmFaultInfo) -> Found:
            if vmf.pgoff == dead:
                faults.append(vmf.pgoff)
                return Found(VmFault.SIGBUS)
            return filemap_fault(vmf)

        device = k.file("device", vm_ops=VmOperations(fault=fault, name="device"), pages=PAGES)
        page = k.mm().mmap(file=device, shared=True, pages=PAGES)

        def call() -> int:
            seen.append(raw_copy_from_user(page.mm, page.address + offset, length))
            return 0

        @k.thread
        def program() -> None:
            k.syscall(call)

    assert str(run(story, patched)) == "holds"
    assert len(set(seen)) == 1
    return seen[0], len(faults) // len(seen)


@settings(max_examples=60, deadline=None)
@given(
    dead=st.integers(0, PAGES),
    offset=st.integers(0, PAGE_SIZE - 1),
    length=st.integers(1, 2 * PAGE_SIZE),
    features=st.sampled_from([X86Feature.NONE, X86Feature.ERMS, X86Feature(3)]),
    old=st.booleans(),
)
def test_a_copy_stops_at_the_first_byte_that_is_not_there(
    dead: int, offset: int, length: int, features: X86Feature, old: bool
) -> None:
    done, faults = copied(dead, offset, length, features, BEFORE if old else None)
    there = max(0, dead * PAGE_SIZE - offset)
    assert done.left == max(0, length - there)
    assert sum(r.length for r in done.runs if r.value is not None) == length - done.left
    assert sum(r.length for r in done.runs) == length
    assert faults <= (2 if done.left else 0)


def test_the_parts_of_a_copy_are_those_of_its_pages() -> None:
    mm = Kernel(Program()).mm().mm
    move = Move(mm, 2 * PAGE_SIZE - 8, 24)
    assert list(move.parts()) == [(PAGE_SIZE, 8), (2 * PAGE_SIZE, 16)]
    assert move.rest(UserCopy(16)) == Move(mm, 2 * PAGE_SIZE, 16)


def unmapped(k: Kernel) -> Any:
    """A page of a file with none behind it that can be touched."""
    return k.mm().mmap(file=k.file("short", pages=1), shared=True, pages=2)


def test_what_cannot_be_read_is_zero_in_the_kernel() -> None:
    def story(k: Kernel) -> None:
        page = unmapped(k)

        def call() -> int:
            done = copy_from_user(page.mm, page.address, 2 * PAGE_SIZE)
            assert done == UserCopy(PAGE_SIZE, (Run(0, PAGE_SIZE), Run(0, PAGE_SIZE)))
            assert fault_in_readable(page.mm, page.address, 2 * PAGE_SIZE) == PAGE_SIZE
            return 0

        @k.thread
        def program() -> None:
            k.syscall(call)

    assert found(story) == "holds"


def test_faulting_in_for_a_write_loses_what_was_there() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap()

        def call() -> int:
            return fault_in_writeable(page.mm, page.address, 8)

        @k.thread
        def program() -> None:
            page.store(5)
            assert k.syscall(call) == 0
            assert page.load() == 0

    assert found(story) == "holds"


def itself(k: Kernel) -> None:
    """write(2) of a file from a mapping of the same page of it."""
    file = k.file("file")
    page = k.mm().mmap(file=file, shared=True)

    @k.thread
    def program() -> None:
        assert write_file(file, page, PAGE_SIZE) == PAGE_SIZE


def test_a_write_that_handled_faults_under_the_folio_lock_would_wait_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert found(itself) == "holds"
    monkeypatch.setattr(usercopy, "no_page_faults", nullcontext)
    assert found(itself) == "deadlock"


def test_what_is_written_is_what_is_read_back() -> None:
    def story(k: Kernel) -> None:
        file = k.file("file", pages=2)
        process = k.mm()
        source, target = process.mmap(pages=2), process.mmap()

        @k.thread
        def program() -> None:
            source.store(3)
            source[1].store(4)
            assert write_file(file, source, 2 * PAGE_SIZE) == 2 * PAGE_SIZE
            assert read_file(file, target, PAGE_SIZE) == PAGE_SIZE
            assert target.load() == 3
            assert read_file(file, target[0], 2 * PAGE_SIZE) == PAGE_SIZE
            assert ioctl_out(target, 7, 8) == 0
            assert target.load() == 7

    assert found(story) == "holds"


def test_a_write_from_memory_that_is_gone_writes_nothing() -> None:
    def story(k: Kernel) -> None:
        file = k.file("file")
        page = unmapped(k)

        @k.thread
        def program() -> None:
            assert write_file(file, page[1], 8) == -EFAULT

    assert found(story) == "holds"


def killed(call: Callable[[Any, Any], int]) -> Callable[[Kernel], None]:
    """A program whose buffer nobody serves, and that is killed in a system call."""

    def story(k: Kernel) -> None:
        file = k.file("file")
        page, _uffd = k.uffd_page()

        @k.thread(process=page)
        def program() -> None:
            assert call(file, page) == -EINTR, "a killed program saw what became of its call"

        @k.thread
        def killer() -> None:
            k.kill(page, SIGKILL)

    return story


@pytest.mark.parametrize("call", [write_file, read_file])
def test_a_killed_program_gets_out_of_a_copy(call: Callable[[Any, Any, int], int]) -> None:
    assert found(killed(lambda file, page: call(file, page, 8))) == "holds"
