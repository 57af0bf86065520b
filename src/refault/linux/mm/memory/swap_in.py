"""Faults on entries that are not present (``mm/memory.c``: ``do_swap_page()``).

A migration entry is waited for; poison and markers end the fault or mean a hole; a swap entry is
brought back, by way of the swap cache unless the device is synchronous. Each of them is only acted
upon if the PTE is still the same under its lock.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import atomic, note
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.page import (
    folio_add_anon_rmap_pte,
    folio_add_new_anon_rmap,
    folio_of,
    folio_put,
    frame,
)
from refault.linux.include.linux.pgtable import (
    NONE,
    Pte,
    PteKind,
    PteMarker,
    mk_pte,
    pte_same,
    ptep_get,
    set_pte_at,
)
from refault.linux.mm.filemap import (
    folio_lock_or_retry,
    folio_unlock,
    migration_entry_wait_on_locked,
)
from refault.linux.mm.memory.anon import NO_MEMORY, do_anonymous_page, vma_alloc_folio
from refault.linux.mm.memory.device_private import do_device_private
from refault.linux.mm.memory.file import do_fault
from refault.linux.mm.memory.wp import do_wp_page
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru, lru_add_drain
from refault.linux.mm.swap_state import (
    read_swap_cache_async,
    swap_cache_get_folio,
    swapcache_clear,
    swapcache_prepare,
)
from refault.linux.mm.swapfile import folio_free_swap, swap_free, swap_read_folio, swap_slot
from refault.linux.modelled import current_kernel, kernel_function


@kernel_function("mm/memory.c")
def do_swap_page(vmf: VmFaultInfo) -> VmFault:
    """Tell the entries apart."""
    kind = vmf.orig_pte.kind
    if kind is PteKind.MIGRATION:
        return migration_entry_wait(vmf)
    if kind is PteKind.DEVICE:
        return do_device_private(vmf)
    if kind is PteKind.HWPOISON:
        return VmFault.HWPOISON
    if kind is PteKind.MARKER:
        return handle_pte_marker(vmf)
    return _swap_in(vmf)


@kernel_function("mm/memory.c", quiet=True)
def handle_pte_marker(vmf: VmFaultInfo) -> VmFault:
    """A place without a page about which there is something to say."""
    marker = vmf.orig_pte.marker
    if marker & PteMarker.POISONED:
        return VmFault.HWPOISON
    if marker & PteMarker.GUARD:
        return VmFault.SIGSEGV
    return pte_marker_handle_uffd_wp(vmf)


@kernel_function("mm/memory.c", quiet=True)
def pte_marker_handle_uffd_wp(vmf: VmFaultInfo) -> VmFault:
    """Take a marker of a registration that is over away; else it is a hole to be filled."""
    if not vmf.vm_flags & Vm.UFFD_WP:
        return pte_marker_clear(vmf)
    return do_anonymous_page(vmf) if vmf.vma.vm_file is None else do_fault(vmf)


@kernel_function("mm/memory.c", quiet=True)
def pte_marker_clear(vmf: VmFaultInfo) -> VmFault:
    """Make the PTE none, if it still is that marker; the access runs again."""
    if pte_offset_map_lock(vmf.mm):
        ptep = vmf.mm.pte(vmf.address)
        if pte_same(ptep_get(ptep), vmf.orig_pte):
            set_pte_at(ptep, NONE)
        pte_unmap_unlock(vmf.mm)
    return VmFault.NONE


class SwapIn(NamedTuple):
    """A folio on its way in: whether by the cache, and whether it had to be read."""

    pfn: int
    cached: bool = True
    ret: VmFault = VmFault.NONE


def _swap_in(vmf: VmFaultInfo) -> VmFault:
    slot = vmf.orig_pte.pfn
    found = _find(vmf, slot)
    if found is None:
        return VmFault.NONE
    if not found.pfn:
        return _gone(vmf)
    ret = _map_locked(vmf, found)
    if not found.cached:
        swapcache_clear(slot)
    return ret


def _find(vmf: VmFaultInfo, slot: int) -> SwapIn | None:
    """Find or read the folio; None if somebody else is reading it past the cache."""
    pfn = swap_cache_get_folio(slot)
    if pfn:
        return SwapIn(pfn)
    if current_kernel().swap_synchronous and swap_slot(slot).read().entries == 1:
        return swap_in_directly(slot)
    return SwapIn(read_swap_cache_async(slot), ret=VmFault.MAJOR)


@kernel_function("mm/memory.c", quiet=True)
def swap_in_directly(slot: int) -> SwapIn | None:
    """Read from a synchronous device, past the swap cache: one task at a time."""
    pfn = vma_alloc_folio()
    if pfn == NO_MEMORY:
        return SwapIn(0)
    if not swapcache_prepare(slot):
        folio_put(pfn)
        return None
    frame(pfn).data.write(swap_read_folio(slot))
    return SwapIn(pfn, cached=False, ret=VmFault.MAJOR)


def _gone(vmf: VmFaultInfo) -> VmFault:
    """There is no folio: out of memory, unless the entry has gone, too."""
    if not pte_offset_map_lock(vmf.mm):
        return VmFault.NONE
    same = pte_same(ptep_get(vmf.mm.pte(vmf.address)), vmf.orig_pte)
    pte_unmap_unlock(vmf.mm)
    return VmFault.OOM if same else VmFault.NONE


def _map_locked(vmf: VmFaultInfo, found: SwapIn) -> VmFault:
    pfn, ret = found.pfn, found.ret
    if found.cached:
        waited = folio_lock_or_retry(pfn, vmf)
        if waited:
            folio_put(pfn)
            return ret | waited
        folio = folio_of(pfn)
        if folio.swap != vmf.orig_pte.pfn:
            return _release(pfn, ret)
        if folio.hwpoison:
            return _release(pfn, ret | VmFault.HWPOISON)
        if vmf.write and folio.lru_batch is not None:
            lru_add_drain(pfn)
    if not pte_offset_map_lock(vmf.mm):
        return _release(pfn, ret, found.cached)
    if not pte_same(ptep_get(vmf.mm.pte(vmf.address)), vmf.orig_pte):
        pte_unmap_unlock(vmf.mm)
        return _release(pfn, ret, found.cached)
    if not folio_of(pfn).uptodate:
        pte_unmap_unlock(vmf.mm)
        return _release(pfn, ret | VmFault.SIGBUS, found.cached)
    return _install(vmf, found)


def _release(pfn: int, ret: VmFault, locked: bool = True) -> VmFault:
    if locked:
        folio_unlock(pfn)
    folio_put(pfn)
    return ret


def _install(vmf: VmFaultInfo, found: SwapIn) -> VmFault:
    """Map the folio in the place of its entry; the reference becomes the mapping's."""
    pfn, old = found.pfn, vmf.orig_pte
    swap_free(old.pfn)
    if found.cached and vmf.write and folio_of(pfn).refcount == 2:
        folio_free_swap(pfn)
    exclusive = old.exclusive or not found.cached or folio_of(pfn).refcount == 1
    protected = old.uffd_wp and bool(vmf.vm_flags & Vm.UFFD_WP)
    write = exclusive and bool(vmf.vm_flags & Vm.WRITE) and not protected
    entry = mk_pte(pfn, write=write, dirty=write and vmf.write, uffd_wp=old.uffd_wp)
    with atomic():
        if found.cached:
            folio_add_anon_rmap_pte(pfn, exclusive=exclusive)
        else:
            folio_add_new_anon_rmap(pfn)
            folio_add_lru(pfn)
        set_pte_at(vmf.mm.pte(vmf.address), entry)
    note("page is back")
    if found.cached:
        folio_unlock(pfn)
    return _write_on(vmf, entry, found.ret)


def _write_on(vmf: VmFaultInfo, entry: Pte, ret: VmFault) -> VmFault:
    """Go on with a write that the mapping does not allow yet; the PTE lock is still held."""
    if not vmf.write or entry.write or not vmf.flags & FaultFlag.WRITE:
        pte_unmap_unlock(vmf.mm)
        return ret
    ret |= do_wp_page(vmf._replace(orig_pte=entry))
    return ret & VmFault.ERROR if ret & VmFault.ERROR else ret


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
