"""Page faults before they had the lock of a single VMA: all under mmap_lock."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.patches.patch import Patch
from refault.patches.uffd_locks import (
    lock_mmap,
    lock_mmap_to_move,
    unlock_mmap,
    unlock_mmap_moved,
)


def _no_vma_lock(mm: MmStruct, address: int) -> bool:
    return False


def _nothing_to_write_lock(vma: VmArea) -> None:
    return None


def _nothing_to_end(mm: MmStruct) -> None:
    return None


per_vma_lock = Patch(
    name="per_vma_lock",
    title="x86/mm: try VMA lock-based page fault handling first",
    kind="fix",
    commit="0bff0aaea03e",
    since="6.4",
    source="Suren Baghdasaryan, 2023; userfaults followed in 6.6, UFFDIO_COPY and its like in 6.9",
    replaces={
        "lock_vma_under_rcu": _no_vma_lock,
        "vma_start_write": _nothing_to_write_lock,
        "vma_end_write_all": _nothing_to_end,
        "uffd_mfill_lock": lock_mmap,
        "uffd_mfill_unlock": unlock_mmap,
        "uffd_move_lock": lock_mmap_to_move,
        "uffd_move_unlock": unlock_mmap_moved,
    },
    over=("uffd_fault_vma_lock", "uffd_mfill_vma_lock"),
)
