"""Faults on entries that are not present (``mm/memory.c``: ``do_swap_page()``)."""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.include.linux.mm_types import Vm, VmFault, VmFaultInfo
from refault.linux.include.linux.page import alloc_page, folio_add_new_anon_rmap, folio_put, frame
from refault.linux.include.linux.pgtable import PteKind, mk_pte, pte_same, ptep_get, set_pte_at
from refault.linux.mm.filemap import migration_entry_wait_on_locked
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.mm.swapfile import swap_free, swap_read_folio
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/memory.c")
def do_swap_page(vmf: VmFaultInfo) -> VmFault:
    """Wait for the end of a migration, or bring a page back from swap."""
    if vmf.orig_pte.kind is PteKind.MIGRATION:
        return migration_entry_wait(vmf)
    if vmf.orig_pte.kind is not PteKind.SWAP:
        raise NotModelled("a fault on a PTE marker", f"the PTE is a {vmf.orig_pte}")
    return _swap_in(vmf)


def _swap_in(vmf: VmFaultInfo) -> VmFault:
    mm, ptep, entry = vmf.mm, vmf.mm.pte(vmf.address), vmf.orig_pte
    pfn = alloc_page()
    frame(pfn).data.write(swap_read_folio(entry.pfn))
    if not pte_offset_map_lock(mm):
        folio_put(pfn)
        return VmFault.NONE
    if not pte_same(ptep_get(ptep), entry):
        pte_unmap_unlock(mm)
        folio_put(pfn)
        return VmFault.NONE
    writable = vmf.write and bool(vmf.vm_flags & Vm.WRITE)
    with atomic():
        folio_add_new_anon_rmap(pfn)
        folio_add_lru(pfn)
        set_pte_at(ptep, mk_pte(pfn, write=writable, dirty=writable, uffd_wp=entry.uffd_wp))
    swap_free(entry.pfn)
    pte_unmap_unlock(mm)
    return VmFault.MAJOR


@kernel_function("mm/migrate.c")
def migration_entry_wait(vmf: VmFaultInfo) -> VmFault:
    """Sleep until the folio of the migration entry is unlocked; keeps the fault lock."""
    if not pte_offset_map_lock(vmf.mm):
        return VmFault.NONE
    pte = ptep_get(vmf.mm.pte(vmf.address))
    pte_unmap_unlock(vmf.mm)
    if pte.kind is PteKind.MIGRATION:
        migration_entry_wait_on_locked(pte.pfn)
    return VmFault.NONE
