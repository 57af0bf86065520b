"""Finding and locking the VMAs that an ioctl works on (``mm/userfaultfd.c``).

Since 6.9 that is the lock of the VMA, taken as a fault takes it: by RCU first, and by way of
mmap_lock if a writer is at it. Two VMAs are locked in one attempt or under mmap_lock, for whoever
holds one and waits for mmap_lock waits for a writer that may wait for the one.
"""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.uapi.errno import EAGAIN, ENOENT
from refault.linux.mm.anon_vma import __anon_vma_prepare, lacks_anon_vma
from refault.linux.mm.mmap_lock import (
    lock_vma_under_rcu,
    mmap_read_lock,
    mmap_read_unlock,
    vma_end_read,
    vma_start_read_locked,
)
from refault.linux.modelled import kernel_function


def vma_bounds(vma: VmArea) -> tuple[int, int]:
    """Return the first address of a VMA and the first behind it; the caller holds a lock of it."""
    span = vma.covered()
    return span.start, span.end


def vmas_in(mm: MmStruct, start: int, end: int) -> list[VmArea]:
    """Return the VMAs that a range meets, in order; the caller holds mmap_lock."""
    spans = ((vma.covered(), vma) for vma in mm.vmas)
    met = [(span.start, vma) for span, vma in spans if span.start < end and start < span.end]
    return [vma for _, vma in sorted(met, key=lambda found: found[0])]


@kernel_function("mm/userfaultfd.c", quiet=True)
def validate_dst_vma(vma: VmArea, end: int) -> bool:
    """Tell whether the range stays inside the VMA, and *some* userfaultfd has it registered.

    That it is the caller's nobody asks.
    """
    return end <= vma_bounds(vma)[1] and vma.ctx is not None


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_lock_vma(mm: MmStruct, address: int) -> VmArea | int:
    """Lock the VMA of an address for reading, with an anon_vma; returns it, or -errno."""
    if lock_vma_under_rcu(mm, address):
        vma = mm.find_vma(address)
        assert vma is not None
        if not lacks_anon_vma(vma):
            return vma
        vma_end_read(vma)
    mmap_read_lock(mm)
    vma = find_vma_and_prepare_anon(mm, address)
    found: VmArea | int = -ENOENT
    if vma is not None:
        found = vma if vma_start_read_locked(vma) else -EAGAIN
    mmap_read_unlock(mm)
    return found


@kernel_function("mm/userfaultfd.c", quiet=True)
def find_vma_and_prepare_anon(mm: MmStruct, address: int) -> VmArea | None:
    """Find the VMA of an address and see to its anon_vma; the caller holds mmap_lock."""
    vma = mm.find_vma(address)
    if vma is not None and lacks_anon_vma(vma):
        __anon_vma_prepare(vma)
    return vma


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_mfill_lock(mm: MmStruct, dst: int, length: int) -> VmArea | int:
    """Lock the VMA that is to be filled; returns it, or -errno with nothing locked."""
    vma = uffd_lock_vma(mm, dst)
    if isinstance(vma, int) or validate_dst_vma(vma, dst + length):
        return vma
    vma_end_read(vma)
    return -ENOENT


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_mfill_unlock(vma: VmArea) -> None:
    """Give the VMA lock back."""
    vma_end_read(vma)


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_move_lock(mm: MmStruct, dst: int, src: int) -> tuple[VmArea, VmArea] | int:
    """Lock the VMAs of a move, of which there may be but one; returns both, or -errno."""
    there = uffd_lock_vma(mm, dst)
    if isinstance(there, int):
        return there
    if _inside(there, src):
        return there, there
    if lock_vma_under_rcu(mm, src):
        here = mm.find_vma(src)
        assert here is not None
        return there, here
    vma_end_read(there)
    mmap_read_lock(mm)
    found = _lock_both(mm, dst, src)
    mmap_read_unlock(mm)
    return found


def _inside(vma: VmArea, address: int) -> bool:
    start, end = vma_bounds(vma)
    return start <= address < end


def find_vmas_mm_locked(mm: MmStruct, dst: int, src: int) -> tuple[VmArea, VmArea] | int:
    """Find the VMAs of a move under mmap_lock; returns both, or -errno."""
    there = find_vma_and_prepare_anon(mm, dst)
    if there is None:
        return -ENOENT
    here = there if _inside(there, src) else mm.find_vma(src)
    return -ENOENT if here is None else (there, here)


def _lock_both(mm: MmStruct, dst: int, src: int) -> tuple[VmArea, VmArea] | int:
    found = find_vmas_mm_locked(mm, dst, src)
    if isinstance(found, int):
        return found
    there, here = found
    if not vma_start_read_locked(there):
        return -EAGAIN
    if there is not here and not vma_start_read_locked(here):
        vma_end_read(there)
        return -EAGAIN
    return there, here


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_move_unlock(dst_vma: VmArea, src_vma: VmArea) -> None:
    """Give the locks of a move back."""
    vma_end_read(src_vma)
    if src_vma is not dst_vma:
        vma_end_read(dst_vma)
