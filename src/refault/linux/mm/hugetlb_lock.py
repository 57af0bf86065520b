"""The locks of hugetlb mappings (``mm/hugetlb.c``): the fault mutexes, and one lock a mapping."""

from __future__ import annotations

from refault.explore import BLOCKED, Blocked, Violation, current_task
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.kernel.locking.rwsem import Rwsem, down_write, up_write
from refault.linux.modelled import current_kernel, kernel_function


def hugetlb_lock_of(vma: VmArea) -> Rwsem:
    """Return ``hugetlb_vma_lock`` of a mapping."""
    return current_kernel().hugetlb_locks[vma.name]


@kernel_function("mm/hugetlb.c", quiet=True)
def hugetlb_zap_begin(vma: VmArea) -> None:
    """Keep faults out of a hugetlb mapping until its pages are back in the pool."""
    if current_kernel().hugetlb_locks.get(vma.name):
        down_write(hugetlb_lock_of(vma))


@kernel_function("mm/hugetlb.c", quiet=True)
def hugetlb_zap_end(vma: VmArea) -> None:
    """Let faults in again."""
    if current_kernel().hugetlb_locks.get(vma.name):
        up_write(hugetlb_lock_of(vma))


def _lock(owner: str | None, task: str) -> tuple[str | None, None] | Blocked:
    return BLOCKED if owner else (task, None)


def _unlock(owner: str | None, task: str) -> tuple[str | None, None]:
    if owner != task:
        raise Violation("lock imbalance", f"{task} releases the fault mutex of {owner or 'nobody'}")
    return None, None


@kernel_function("mm/hugetlb.c", label=lambda mm, address: "hugetlb_fault_mutex_lock")
def hugetlb_fault_mutex_lock(mm: MmStruct, address: int) -> None:
    """Serialise with other faults on the same page.

    The table of mutexes is hashed by file and page; here all pages of an mm share one, as pages do
    whose hashes collide.
    """
    current_kernel().hugetlb_mutexes[mm.name].update(_lock, current_task())


@kernel_function("mm/hugetlb.c", label=lambda mm, address: "hugetlb_fault_mutex_unlock")
def hugetlb_fault_mutex_unlock(mm: MmStruct, address: int) -> None:
    """Let other faults on."""
    current_kernel().hugetlb_mutexes[mm.name].update(_unlock, current_task())
