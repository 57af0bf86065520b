"""The lock of a VMA, which is one step in the model, against the steps that it has in the kernel.

There are two forms of it: a reference count with the writer's offset in it (since 6.15), and an
rwsem (6.4 to 6.14). In both a reader compares two sequence numbers, takes the lock, and compares
them again. Nobody who takes the lock can tell the three apart: the same things come to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from refault.explore import Program, atomic, check, current_task
from refault.linux import Kernel
from refault.linux.include.linux.mm_types import MmStruct, VmaLockState, VmArea
from refault.linux.kernel.locking.rwsem import (
    Rwsem,
    down_read_trylock,
    down_write,
    up_read,
    up_write,
)
from refault.linux.mm.mmap_lock import (
    lock_vma_under_rcu,
    mmap_write_lock,
    mmap_write_unlock,
    vma_end_read,
    vma_start_write,
)
from refault.scenarios.uffd_wake_writers import writer_mprotect

Patched = Mapping[str, Callable[..., Any]]
OFFSET = 0x40000000


def enter(lock: VmaLockState, task: str) -> tuple[VmaLockState, None]:
    """Keep the books that others look at: a reader is in."""
    return lock._replace(readers=tuple(sorted((*lock.readers, task)))), None


def leave(lock: VmaLockState, task: str) -> tuple[VmaLockState, None]:
    """Keep the books that others look at: a reader is out."""
    return lock._replace(readers=tuple(r for r in lock.readers if r != task)), None


def hold(lock: VmaLockState, task: str | None) -> tuple[VmaLockState, None]:
    """Keep the books that others look at: a writer has come, or is gone."""
    return lock._replace(writer=task), None


class Seqs:
    """``vm_lock_seq`` of the one VMA of a story, and ``mm_lock_seq`` of its mm."""

    def __init__(self, program: Program) -> None:
        self.vma = program.cell("vm_lock_seq", 0)
        self.mm = program.cell("mm_lock_seq", 1)

    def equal(self) -> bool:
        """Tell whether the VMA is write-locked, by two reads."""
        return self.vma.read() == self.mm.read()

    def end_write_all(self, mm: MmStruct) -> None:
        """Release the write locks of all VMAs, of which there is one."""
        with atomic():
            self.mm.update(lambda seq: (seq + 1, None))
            mm.vmas[0].vm_lock.update(hold, None)


def one_step(program: Program) -> Patched:
    """The model as it is."""
    return {}


def refcount(program: Program) -> Patched:
    """A reference count: 1 for being attached, 1 for each reader, the offset for a writer."""
    seqs, count = Seqs(program), program.cell("vm_refcnt", 1)

    def get(n: int) -> tuple[int, bool]:
        return (n, False) if n == 0 or n >= OFFSET else (n + 1, True)

    def add(n: int, by: int) -> tuple[int, None]:
        return n + by, None

    def start_read(vma: VmArea) -> bool:
        if seqs.equal() or not count.update(get):
            return False
        if seqs.equal():
            count.update(add, -1)
            return False
        vma.vm_lock.update(enter, current_task())
        return True

    def end_read(vma: VmArea) -> None:
        with atomic():
            vma.vm_lock.update(leave, current_task())
            count.update(add, -1)

    def start_write(vma: VmArea) -> None:
        if seqs.equal():
            return
        count.update(add, OFFSET)
        count.wait(lambda n: n == OFFSET + 1)
        with atomic():
            seqs.vma.write(seqs.mm.read())
            vma.vm_lock.update(hold, current_task())
        count.update(add, -OFFSET)

    return {
        "vma_start_read": start_read,
        "vma_start_read_locked": start_read,
        "vma_end_read": end_read,
        "vma_start_write": start_write,
        "vma_end_write_all": seqs.end_write_all,
    }


def rwsem(program: Program) -> Patched:
    """An rwsem, which a writer holds only while it writes the sequence number."""
    seqs, sem = Seqs(program), Rwsem(program, "vm_lock.lock")

    def start_read(vma: VmArea) -> bool:
        if seqs.equal() or not down_read_trylock(sem):
            return False
        if seqs.equal():
            up_read(sem)
            return False
        vma.vm_lock.update(enter, current_task())
        return True

    def end_read(vma: VmArea) -> None:
        vma.vm_lock.update(leave, current_task())
        up_read(sem)

    def start_write(vma: VmArea) -> None:
        if seqs.equal():
            return
        down_write(sem)
        with atomic():
            seqs.vma.write(seqs.mm.read())
            vma.vm_lock.update(hold, current_task())
        up_write(sem)

    return {
        "vma_start_read": start_read,
        "vma_start_read_locked": start_read,
        "vma_end_read": end_read,
        "vma_start_write": start_write,
        "vma_end_write_all": seqs.end_write_all,
    }


FORMS = [one_step, refcount, rwsem]


def found(form: Callable[[Program], Patched], story: Callable[[Kernel], object]) -> str:
    """Explore a story with one form of the lock."""
    return str(check(lambda program: story(Kernel(program, form(program))), time=60))


def two_readers_and_a_writer(k: Kernel, *, never: tuple[str, int] | None) -> None:
    """Readers find the data as it was, or as it is, or do not get the lock; never half way."""
    page = k.mm().mmap()
    data = k.program.cell("data", 0)

    def read() -> None:
        if not lock_vma_under_rcu(page.mm, page.address):
            assert never != ("failed", 0), "it came to pass"
            return
        seen = data.read()
        assert seen == data.read(), "it was written to"
        vma_end_read(page.vma)
        assert never != ("locked", seen), "it came to pass"

    k.thread(name="ann")(read)
    k.thread(name="bob")(read)

    @k.thread
    def writer() -> None:
        mmap_write_lock(page.mm)
        vma_start_write(page.vma)
        vma_start_write(page.vma)
        data.write(1)
        data.write(2)
        mmap_write_unlock(page.mm)


@pytest.mark.parametrize("form", FORMS)
def test_readers_are_kept_out_and_waited_for(form: Callable[[Program], Patched]) -> None:
    assert found(form, lambda k: two_readers_and_a_writer(k, never=None)) == "holds"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outcome", [("locked", 0), ("locked", 2), ("failed", 0)])
def test_the_same_things_come_to_pass(
    form: Callable[[Program], Patched], outcome: tuple[str, int]
) -> None:
    story = lambda k: two_readers_and_a_writer(k, never=outcome)  # noqa: E731
    assert found(form, story) == "assertion failure"


@pytest.mark.parametrize("form", FORMS)
def test_faults_meet_mprotect_no_more_in_one_form_than_in_the_other(
    form: Callable[[Program], Patched],
) -> None:
    assert found(form, writer_mprotect.story) == "holds"
