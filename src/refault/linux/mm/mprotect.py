"""Changing the protection of mapped pages (``mm/mprotect.c``).

``change_pte_range()`` serves ``mprotect(2)``, NUMA balancing and ``UFFDIO_WRITEPROTECT``. For each
present PTE it writes none, so that the hardware can set no bit meanwhile, and then the new value.
It does that under the page-table lock; who else is kept out depends on the caller's lock:
``mprotect(2)`` holds mmap_lock and the VMA lock for writing, the others hold mmap_lock for
reading.
"""

from __future__ import annotations

from enum import IntFlag

from refault.explore import note
from refault.linux.asm.tlb import flush_tlb_batched_pending
from refault.linux.fs.userfaultfd.fault import userfaultfd_wp_use_markers
from refault.linux.include.linux.mm_flags import vma_is_accessible
from refault.linux.include.linux.mm_types import HugePmd, MmStruct, Vm, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import PageAnonExclusive, frame, live
from refault.linux.include.linux.pgtable import (
    NONE,
    ZERO_PFN,
    Pte,
    PteKind,
    PteMarker,
    make_pte_marker,
    ptep_get,
    ptep_modify_prot_commit,
    ptep_modify_prot_start,
    set_pte_at,
)
from refault.linux.include.uapi.errno import ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.anon_vma import begins_fresh, has_anon_vma
from refault.linux.mm.huge_pmd import change_huge_pmd
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock, vma_start_write
from refault.linux.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.vma_merge import vma_modify
from refault.linux.modelled import kernel_function


class MmCp(IntFlag):
    """``MM_CP_*``: what ``change_protection()`` is for."""

    NONE = 0
    TRY_CHANGE_WRITABLE = 0x1
    PROT_NUMA = 0x2
    UFFD_WP = 0x4
    UFFD_WP_RESOLVE = 0x8


@kernel_function("mm/mprotect.c", quiet=True)
def can_change_pte_writable(vm_flags: Vm, pte: Pte) -> bool:
    """Tell whether a write fault could only ever make this very page writable, so do it now."""
    if not vm_flags & Vm.WRITE or pte.protnone or (pte.uffd_wp and vm_flags & Vm.UFFD_WP):
        return False
    return pte.pfn != ZERO_PFN and PageAnonExclusive(pte.pfn)


def _numa_skips(pte: Pte) -> bool:
    """Tell whether NUMA balancing leaves this page alone."""
    if pte.protnone or pte.pfn == ZERO_PFN:
        return True
    folio = live(frame(pte.pfn).folio.read())
    return folio.ksm or folio.mapcount > 1


def _new_protection(vm_flags: Vm, old: Pte, cp_flags: MmCp) -> Pte:
    """``pte_modify()`` and what follows: private mappings start from a read-only protection.

    What cannot be accessed at all is present to software only, as where NUMA balancing looks on.
    """
    protnone = bool(cp_flags & MmCp.PROT_NUMA) or not vma_is_accessible(vm_flags)
    new = old._replace(write=False, protnone=protnone)
    if cp_flags & MmCp.UFFD_WP:
        new = new._replace(uffd_wp=True)
    elif cp_flags & MmCp.UFFD_WP_RESOLVE:
        new = new._replace(uffd_wp=False)
    if cp_flags & MmCp.TRY_CHANGE_WRITABLE and can_change_pte_writable(vm_flags, new):
        new = new._replace(write=True)
    return new


@kernel_function("arch/x86/include/asm/tlbflush.h", quiet=True)
def pte_needs_flush(old: Pte, new: Pte) -> bool:
    """Tell whether a TLB may hold what the new PTE does not say.

    x86 flushes also where a page becomes writable, though the worst that could come of a TLB that
    does not know it is a fault too many.
    """
    return old.write != new.write or (new.protnone and not old.protnone)


@kernel_function("mm/mprotect.c")
def change_pte_range(vma: VmArea, address: int, vm_flags: Vm, cp_flags: MmCp) -> bool:
    """Change one PTE, by way of none if it is present; tells whether a flush is needed."""
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(address)
    if not pte_offset_map_lock(mm):
        return False
    flush_tlb_batched_pending(mm)
    old = ptep_get(ptep)
    flush = False
    if old.present:
        if not (cp_flags & MmCp.PROT_NUMA and _numa_skips(old)):
            ptep_modify_prot_start(ptep)
            note("PTE is clear")
            new = _new_protection(vm_flags, old, cp_flags)
            ptep_modify_prot_commit(ptep, new)
            flush = pte_needs_flush(old, new)
    elif old.none:
        if cp_flags & MmCp.UFFD_WP and userfaultfd_wp_use_markers(vma):
            set_pte_at(ptep, make_pte_marker(PteMarker.UFFD_WP))
    elif old.kind is PteKind.MARKER:
        _change_marker(vma, address, old, cp_flags)
    else:
        _change_entry(vma, address, old, cp_flags)
    pte_unmap_unlock(mm)
    return flush


def _change_marker(vma: VmArea, address: int, old: Pte, cp_flags: MmCp) -> None:
    """Drop a marker of write-protection that is over; those that make accesses fail stay."""
    if cp_flags & MmCp.UFFD_WP_RESOLVE and old.marker is PteMarker.UFFD_WP:
        set_pte_at(vma.vm_mm.pte(address), NONE)


def _change_entry(vma: VmArea, address: int, old: Pte, cp_flags: MmCp) -> None:
    """Change an entry that is not present: one write, and only where it differs."""
    new = old
    if old.kind is PteKind.MIGRATION and old.write:
        new = new._replace(write=False, exclusive=True)
    if old.kind is PteKind.DEVICE:
        new = new._replace(write=False)
    if cp_flags & MmCp.UFFD_WP:
        new = new._replace(uffd_wp=True)
    elif cp_flags & MmCp.UFFD_WP_RESOLVE:
        new = new._replace(uffd_wp=False)
    if new != old:
        set_pte_at(vma.vm_mm.pte(address), new)


@kernel_function("mm/mprotect.c", quiet=True)
def change_protection(vma: VmArea, address: int, vm_flags: Vm, cp_flags: MmCp) -> None:
    """Change the protection of a page; TLB entries are flushed after the PTE lock is dropped."""
    mm = vma.vm_mm
    range = MmuNotifierRange(mm, address, address + PAGE_SIZE, MmuNotifyEvent.PROTECTION_VMA)
    tlb_gather_mmu(mm)
    mmu_notifier_invalidate_range_start(range)
    if isinstance(mm.pmd.read(), HugePmd):
        numa = bool(cp_flags & MmCp.PROT_NUMA) or not vma_is_accessible(vm_flags)
        flush = change_huge_pmd(vma, vm_flags, numa=numa)
    else:
        flush = change_pte_range(vma, address, vm_flags, cp_flags)
    mmu_notifier_invalidate_range_end(range)
    tlb_finish_mmu(mm, address, address + PAGE_SIZE, cleared=flush)


@kernel_function("mm/mprotect.c", label="mprotect")
def do_mprotect_pkey(mm: MmStruct, start: int, end: int, prot: Vm) -> int:
    """``mprotect(2)``: VMA after VMA up to the first gap; 0 or -ENOMEM."""
    mmap_write_lock(mm)
    at = start
    while at < end:
        # What was changed may have been joined with what comes next, so that is looked up anew.
        vma = mm.find_vma(at)
        if vma is None:
            break
        last = min(vma.covered().end, end)
        mprotect_fixup(vma, at, last, prot)
        at = last
    mmap_write_unlock(mm)
    return 0 if at == end else -ENOMEM


def _accounted(vma: VmArea, old: Vm, new: Vm) -> Vm:
    """``VM_ACCOUNT`` of a private mapping: it comes with writing, and goes if nothing is there.

    Memory that was touched before the story begins has it for good, and there it is left out.
    """
    if not begins_fresh():
        return new
    if new & Vm.WRITE:
        private = not old & (Vm.ACCOUNT | Vm.WRITE | Vm.HUGETLB | Vm.SHARED)
        return new | Vm.ACCOUNT if private else new
    if old & Vm.ACCOUNT and vma.vm_file is None and not has_anon_vma(vma):
        return new & ~Vm.ACCOUNT
    return new


@kernel_function("mm/mprotect.c", quiet=True)
def mprotect_fixup(vma: VmArea, start: int, end: int, prot: Vm) -> None:
    """Change the flags of a part of a VMA under both locks, then its PTEs."""
    old = vma.vm_flags.read()
    new = (old & ~(Vm.READ | Vm.WRITE | Vm.EXEC)) | prot
    if new == old:
        return
    new = _accounted(vma, old, new)
    vma = vma_modify(vma, start, end, new, vma.uffd_ctx.read())
    vma_start_write(vma)
    vma.vm_flags.write(new)
    cp_flags = MmCp.TRY_CHANGE_WRITABLE if new & Vm.WRITE else MmCp.NONE
    for address in range(start, end, PAGE_SIZE):
        change_protection(vma, address, new, cp_flags)
