"""Page faults before they had the lock of a single VMA: all under mmap_lock."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.uapi.errno import ENOENT
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.mm.userfaultfd.lock import find_vmas_mm_locked, validate_dst_vma
from refault.patches.patch import Patch


def _no_vma_lock(mm: MmStruct, address: int) -> bool:
    return False


def _nothing_to_write_lock(vma: VmArea) -> None:
    return None


def _nothing_to_end(mm: MmStruct) -> None:
    return None


def _lock_mmap(mm: MmStruct, dst: int, length: int) -> VmArea | int:
    mmap_read_lock(mm)
    vma = mm.find_vma(dst)
    if vma is not None and validate_dst_vma(vma, dst + length):
        return vma
    mmap_read_unlock(mm)
    return -ENOENT


def _unlock_mmap(vma: VmArea) -> None:
    mmap_read_unlock(vma.vm_mm)


def _move_lock_mmap(mm: MmStruct, dst: int, src: int) -> tuple[VmArea, VmArea] | int:
    mmap_read_lock(mm)
    found = find_vmas_mm_locked(mm, dst, src)
    if isinstance(found, int):
        mmap_read_unlock(mm)
    return found


def _move_unlock_mmap(dst_vma: VmArea, src_vma: VmArea) -> None:
    mmap_read_unlock(dst_vma.vm_mm)


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
        "uffd_mfill_lock": _lock_mmap,
        "uffd_mfill_unlock": _unlock_mmap,
        "uffd_move_lock": _move_lock_mmap,
        "uffd_move_unlock": _move_unlock_mmap,
    },
)
