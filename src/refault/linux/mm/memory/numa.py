"""Faults on protnone entries, left by NUMA balancing (``mm/memory.c``: ``do_numa_page()``)."""

from __future__ import annotations

from refault.explore import note
from refault.linux.include.linux.mm_types import VmFault, VmFaultInfo
from refault.linux.include.linux.pgtable import (
    pte_same,
    ptep_get,
    ptep_modify_prot_commit,
    ptep_modify_prot_start,
)
from refault.linux.mm.mprotect import can_change_pte_writable
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/memory.c")
def do_numa_page(vmf: VmFaultInfo) -> VmFault:
    """Record the access and make the page accessible again.

    The page is taken to be on the right node already. Where it is not the kernel migrates it,
    which is a writer of its own.
    """
    mm, ptep = vmf.mm, vmf.mm.pte(vmf.address)
    if not pte_offset_map_lock(mm):
        return VmFault.NONE
    if not pte_same(ptep_get(ptep), vmf.orig_pte):
        pte_unmap_unlock(mm)
        return VmFault.NONE
    entry = vmf.orig_pte._replace(protnone=False, young=True)
    writable = can_change_pte_writable(vmf.vm_flags, entry)
    ptep_modify_prot_start(ptep)
    note("PTE is clear")
    ptep_modify_prot_commit(ptep, entry._replace(write=writable))
    pte_unmap_unlock(mm)
    return VmFault.NONE
