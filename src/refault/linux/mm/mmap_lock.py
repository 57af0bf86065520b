"""mmap_lock and the per-VMA lock (``mm/mmap_lock.c``, ``include/linux/mmap_lock.h``).

A fault takes the lock of its VMA for reading and falls back to mmap_lock. Whoever changes a VMA
takes mmap_lock for writing and then ``vma_start_write()``, which waits for the readers of that
VMA; the write lock of all VMAs ends with mmap_lock. So a VMA reader keeps out the writers of *its*
VMA, and mmap_lock alone does not keep out VMA readers.

``vma_start_read()`` is one step here. In the kernel it compares the sequence numbers, raises the
reference count, and compares again; a reader that loses in between has only raised the count for
a moment, which no one can tell from not having started. Up to 6.14 there was an rwsem in place
of the count; ``tests/linux/test_vma_lock_forms.py`` has both, step by step, and they are alike.
"""

from __future__ import annotations

from refault.explore import BLOCKED, Blocked, Violation, current_task
from refault.linux.include.linux.mm_types import (
    FaultFlag,
    MmStruct,
    VmaLockState,
    VmArea,
    VmFaultInfo,
)
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.kernel.locking.rwsem import (
    down_read,
    down_read_killable,
    down_read_trylock,
    down_write,
    down_write_killable,
    down_write_trylock,
    downgrade_write,
    up_read,
    up_write,
)
from refault.linux.modelled import kernel_function


@kernel_function("include/linux/mmap_lock.h")
def mmap_read_lock(mm: MmStruct) -> None:
    """Take mmap_lock for reading."""
    down_read(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_read_lock_killable(mm: MmStruct) -> int:
    """Take mmap_lock for reading; -EINTR where SIGKILL ends the wait for it."""
    return down_read_killable(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_read_trylock(mm: MmStruct) -> bool:
    """Take mmap_lock for reading unless that means to wait."""
    return down_read_trylock(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_read_unlock(mm: MmStruct) -> None:
    """Give the read lock back."""
    up_read(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_write_lock(mm: MmStruct) -> None:
    """Take mmap_lock for writing."""
    down_write(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_write_lock_killable(mm: MmStruct) -> int:
    """Take mmap_lock for writing; -EINTR where SIGKILL ends the wait for it."""
    return down_write_killable(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_write_trylock(mm: MmStruct) -> bool:
    """Take mmap_lock for writing unless that means to wait."""
    return down_write_trylock(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_write_downgrade(mm: MmStruct) -> None:
    """End the write locks of all VMAs, then hold mmap_lock for reading only."""
    vma_end_write_all(mm)
    downgrade_write(mm.mmap_lock)


@kernel_function("include/linux/mmap_lock.h")
def mmap_write_unlock(mm: MmStruct) -> None:
    """End the write locks of all VMAs, then give mmap_lock back."""
    vma_end_write_all(mm)
    up_write(mm.mmap_lock)


def _end_write(lock: VmaLockState, task: str) -> tuple[VmaLockState, None]:
    return lock._replace(writer=None) if lock.writer == task else lock, None


@kernel_function("include/linux/mmap_lock.h", quiet=True)
def vma_end_write_all(mm: MmStruct) -> None:
    """Advance ``mm_lock_seq``: no VMA is write-locked any more.

    One write ends them all; where a scenario has several VMAs, the model ends one after the other,
    and since mmap_lock is still held for writing, only VMA readers can tell.
    """
    for vma in mm.vmas:
        vma.vm_lock.update(_end_write, current_task())


def _start_read(lock: VmaLockState, task: str) -> tuple[VmaLockState, bool]:
    if lock.writer or lock.detached:
        return lock, False
    return lock._replace(readers=tuple(sorted((*lock.readers, task)))), True


@kernel_function("mm/mmap_lock.c", quiet=True)
def vma_start_read(vma: VmArea) -> bool:
    """Take the VMA lock for reading; fails where a writer holds it or waits for it."""
    locked = vma.vm_lock.update(_start_read, current_task())
    if locked:
        lock_acquire(f"{vma}.vm_lock")
    return locked


@kernel_function("include/linux/mmap_lock.h", quiet=True)
def vma_start_read_locked(vma: VmArea) -> bool:
    """The same under mmap_lock, which keeps writers out, but not out of waiting."""
    locked = vma.vm_lock.update(_start_read, current_task())
    if locked:
        lock_acquire(f"{vma}.vm_lock")
    return locked


@kernel_function("mm/mmap_lock.c", quiet=True)
def lock_vma_under_rcu(mm: MmStruct, address: int) -> bool:
    """Find the VMA of ``address`` and lock it for reading; on failure one takes mmap_lock.

    Between the two it may have been changed or freed, and even come to life as another, so it is
    looked at again.
    """
    vma = mm.find_vma(address)
    if vma is None or not vma_start_read(vma):
        return False
    if vma.vm_start <= address < vma.vm_end:
        return True
    vma_end_read(vma)
    return False


def _end_read(lock: VmaLockState, task: str) -> tuple[VmaLockState, None]:
    if task not in lock.readers:
        raise Violation("lock imbalance", f"{task} releases a VMA lock that it does not hold")
    readers = list(lock.readers)
    readers.remove(task)
    return lock._replace(readers=tuple(readers)), None


@kernel_function("include/linux/mmap_lock.h", quiet=True)
def vma_end_read(vma: VmArea) -> None:
    """Give the VMA read lock back; the last reader wakes a waiting writer."""
    vma.vm_lock.update(_end_read, current_task())
    lock_release(f"{vma}.vm_lock")


def _announce_write(lock: VmaLockState, task: str) -> tuple[VmaLockState, None]:
    return lock._replace(writer=task), None


def _enter_write(lock: VmaLockState) -> tuple[VmaLockState, None] | Blocked:
    return BLOCKED if lock.readers else (lock, None)


@kernel_function("include/linux/mmap_lock.h")
def vma_start_write(vma: VmArea) -> None:
    """Lock the VMA for writing: keep new readers out, then wait for those that are in.

    The caller holds mmap_lock for writing, and so do the effects last.
    """
    might_sleep(f"vma_start_write({vma})")
    vma.vm_lock.update(_announce_write, current_task())
    vma.vm_lock.update(_enter_write)


@kernel_function("include/linux/mm.h")
def release_fault_lock(vmf: VmFaultInfo) -> None:
    """Give back the lock under which a fault runs."""
    if vmf.flags & FaultFlag.VMA_LOCK:
        vma_end_read(vmf.vma)
    else:
        mmap_read_unlock(vmf.mm)
