"""``madvise(2)`` (``mm/madvise.c``).

That pages can go is followed under the lock of a VMA alone, unless it is registered with a
userfaultfd: then, or where the VMA is contended or the range has more than one, under mmap_lock for
reading, as other advice. Either goes on beside faults.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from refault.explore import note, restart
from refault.linux.asm.tlb import flush_tlb_batched_pending
from refault.linux.fs.userfaultfd.events import userfaultfd_remove
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import change_folio, folio_of
from refault.linux.include.linux.pgtable import (
    NONE,
    ZERO_PFN,
    PteKind,
    PteMarker,
    make_pte_marker,
    ptep_get,
    ptep_get_and_clear,
    set_pte_at,
)
from refault.linux.include.uapi.errno import EINVAL, ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.entry.common import restart_syscall
from refault.linux.mm.anon_vma import __anon_vma_prepare, has_anon_vma
from refault.linux.mm.memory.zap import zap_page_range_single
from refault.linux.mm.mmap_lock import (
    lock_vma_under_rcu,
    mmap_read_lock,
    mmap_read_unlock,
    vma_end_read,
)
from refault.linux.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swapfile import swap_free
from refault.linux.mm.vma import vmas_in
from refault.linux.modelled import kernel_function

MAX_MADVISE_GUARD_RETRIES = 3


class MadviseLock(Enum):
    """``enum madvise_lock_mode``."""

    NOTHING = "no lock"
    VMA_READ = "the lock of the VMA"
    MMAP_READ = "mmap_lock"


class Advised(NamedTuple):
    """What came of an advice for one VMA: 0 or -errno, and where the walk goes on.

    ``dropped`` says that mmap_lock was not held all the time.
    """

    err: int
    end: int
    dropped: bool = False


Work = Callable[[VmArea, int, int], Advised]


@kernel_function("mm/madvise.c", quiet=True)
def try_vma_read_lock(mm: MmStruct, start: int, end: int) -> VmArea | None:
    """Lock the VMA alone, if it has all of the range and no userfaultfd; None if not."""
    if not lock_vma_under_rcu(mm, start):
        return None
    vma = mm.find_vma(start)
    assert vma is not None
    if end <= vma.covered().end and not vma.uffd_ctx.read():
        return vma
    vma_end_read(vma)
    return None


@kernel_function("mm/madvise.c", quiet=True)
def madvise_lock(mm: MmStruct) -> MadviseLock:
    """Take mmap_lock for an advice that needs it."""
    mmap_read_lock(mm)
    return MadviseLock.MMAP_READ


@kernel_function("mm/madvise.c", quiet=True)
def madvise_unlock(mm: MmStruct, mode: MadviseLock) -> None:
    """Give the lock back, unless that of a VMA was enough."""
    if mode is MadviseLock.MMAP_READ:
        mmap_read_unlock(mm)


@kernel_function("mm/madvise.c", quiet=True)
def madvise_walk_vmas(mm: MmStruct, start: int, end: int, work: Work, mode: MadviseLock) -> int:
    """Follow an advice VMA after VMA; 0 or -errno. A gap is an error, but does not end the walk.

    With ``VMA_READ`` it tries the lock of the one VMA first.
    """
    if mode is MadviseLock.VMA_READ:
        vma = try_vma_read_lock(mm, start, end)
        if vma is not None:
            err = work(vma, start, end).err
            vma_end_read(vma)
            return err
        mode = madvise_lock(mm)
    err = _walk(mm, start, end, work)
    madvise_unlock(mm, mode)
    return err


def _walk(mm: MmStruct, start: int, end: int, work: Work) -> int:
    unmapped = 0
    while start < end:
        restart(start, unmapped)
        found = vmas_in(mm, start, end)
        if not found:
            return -ENOMEM
        first, last = found[0].covered().start, found[0].covered().end
        if start < first:
            unmapped, start = -ENOMEM, first
        advised = work(found[0], start, min(last, end))
        if advised.err:
            return advised.err
        start = advised.end
    return unmapped


@kernel_function("mm/madvise.c", label="madvise(MADV_DONTNEED)")
def madvise_dontneed_free(mm: MmStruct, start: int, end: int = 0) -> int:
    """Drop a page, or those of a range; 0 or -errno.

    A monitor that asked for EVENT_REMOVE is told first, without the lock, so the VMA is looked up
    again after that.
    """
    last = end or start + PAGE_SIZE
    return madvise_walk_vmas(mm, start, last, _dontneed, MadviseLock.VMA_READ)


def _dontneed(vma: VmArea, start: int, end: int) -> Advised:
    there, end, dropped = tell_and_look_again(vma, start, end)
    if there is None:
        return Advised(-ENOMEM, end, dropped)
    zap_page_range_single(there, start, end)
    return Advised(0, end, dropped)


def tell_and_look_again(vma: VmArea, start: int, end: int) -> tuple[VmArea | None, int, bool]:
    """Tell the userfaultfd that a range is dropped; the VMA of then, its end, and if it waited."""
    if userfaultfd_remove(vma, start, end):
        return vma, end, False
    mmap_read_lock(vma.vm_mm)
    there = vma.vm_mm.find_vma(start)
    return there, min(end, there.covered().end) if there else end, True


@kernel_function("mm/madvise.c", label="madvise(MADV_FREE)")
def madvise_free_single_vma(mm: MmStruct, start: int, end: int = 0) -> int:
    """Let reclaim drop a page, or those of a range, unless it is written again; 0 or -errno.

    The monitor is told of that as of MADV_DONTNEED, and as early.
    """
    last = end or start + PAGE_SIZE
    return madvise_walk_vmas(mm, start, last, _free, MadviseLock.VMA_READ)


def _free(vma: VmArea, start: int, end: int) -> Advised:
    there, end, dropped = tell_and_look_again(vma, start, end)
    if there is None:
        return Advised(-ENOMEM, end, dropped)
    if there.vm_file is not None:
        return Advised(-EINVAL, end, dropped)
    mm = there.vm_mm
    notified = MmuNotifierRange(mm, start, end, MmuNotifyEvent.CLEAR)
    tlb_gather_mmu(mm)
    mmu_notifier_invalidate_range_start(notified)
    cleared = False
    for address in range(start, end, PAGE_SIZE):
        cleared = madvise_free_pte_range(mm, address) or cleared
    mmu_notifier_invalidate_range_end(notified)
    tlb_finish_mmu(mm, start, end, cleared=cleared)
    return Advised(0, end, dropped)


@kernel_function("mm/madvise.c")
def madvise_free_pte_range(mm: MmStruct, address: int) -> bool:
    """Make the page clean and old by way of none; tells whether TLBs may know better."""
    if not pte_offset_map_lock(mm):
        return False
    flush_tlb_batched_pending(mm)
    ptep = mm.pte(address)
    pte = ptep_get(ptep)
    changed = False
    if pte.kind is PteKind.SWAP:
        ptep_get_and_clear(ptep)
        swap_free(pte.pfn)
    elif pte.marker & PteMarker.POISONED:
        ptep_get_and_clear(ptep)
    elif pte.present and pte.pfn != ZERO_PFN and folio_of(pte.pfn).mapcount == 1:
        changed = pte.young or pte.dirty
        if changed:
            pte = ptep_get_and_clear(ptep)
            note("PTE is clear")
            set_pte_at(ptep, pte._replace(young=False, dirty=False))
        change_folio(pte.pfn, swapbacked=False, dirty=False)
    pte_unmap_unlock(mm)
    return changed


@kernel_function("mm/madvise.c", label="madvise(MADV_GUARD_INSTALL)")
def madvise_guard_install(mm: MmStruct, start: int, end: int = 0) -> int:
    """Put a guard where a page may be; what is there is zapped first. 0 or -errno."""
    last = end or start + PAGE_SIZE
    return madvise_walk_vmas(mm, start, last, _install_guards, madvise_lock(mm))


@kernel_function("mm/madvise.c", quiet=True)
def is_valid_guard_vma(vma: VmArea) -> bool:
    """Whether guards can be put into a mapping; special ones, which cannot, are left out."""
    return True


def _install_guards(vma: VmArea, start: int, end: int) -> Advised:
    if not is_valid_guard_vma(vma):
        return Advised(-EINVAL, end)
    if not has_anon_vma(vma):
        __anon_vma_prepare(vma)
    return Advised(install_guard(vma, start, end), end)


@kernel_function("mm/madvise.c", quiet=True)
def install_guard(vma: VmArea, start: int, end: int) -> int:
    """Walk and zap until all places are empty when guards are set, beside faults that fill them.

    After three rounds the thread goes back to user mode and makes the system call again. What
    zapping leaves there, it leaves there for ever: a marker of write-protection, of a file.
    """
    for _ in range(MAX_MADVISE_GUARD_RETRIES):
        if all(_set_guard(vma.vm_mm, at) for at in range(start, end, PAGE_SIZE)):
            return 0
        zap_page_range_single(vma, start, end)
    return restart_syscall()


def _set_guard(mm: MmStruct, address: int) -> bool:
    if not pte_offset_map_lock(mm):
        return False
    pte = ptep_get(mm.pte(address))
    if pte.none:
        set_pte_at(mm.pte(address), make_pte_marker(PteMarker.GUARD))
    pte_unmap_unlock(mm)
    return pte.none or bool(pte.marker & PteMarker.GUARD)


@kernel_function("mm/madvise.c", label="madvise(MADV_GUARD_REMOVE)")
def madvise_guard_remove(mm: MmStruct, start: int, end: int = 0) -> int:
    """Take guards away; 0 or -errno."""
    last = end or start + PAGE_SIZE
    return madvise_walk_vmas(mm, start, last, _remove_guards, madvise_lock(mm))


def _remove_guards(vma: VmArea, start: int, end: int) -> Advised:
    if not is_valid_guard_vma(vma):
        return Advised(-EINVAL, end)
    mm = vma.vm_mm
    for address in range(start, end, PAGE_SIZE):
        if pte_offset_map_lock(mm):
            pte = ptep_get(mm.pte(address))
            if pte.marker & PteMarker.GUARD:
                set_pte_at(mm.pte(address), NONE)
            pte_unmap_unlock(mm)
    return Advised(0, end)
