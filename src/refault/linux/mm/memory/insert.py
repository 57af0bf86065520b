"""Mapping a page from within a fault handler (``mm/memory.c``: ``vmf_insert_pfn()``).

Here the page is counted as one of a file is; the kernel's drivers map memory without struct pages
as well, for which nothing is counted.
"""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.include.linux.mm_flags import Vm, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.page import folio_add_file_rmap_pte, folio_get
from refault.linux.include.linux.pgtable import mk_pte, ptep_get, set_pte_at
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/memory.c", label=lambda vmf, pfn: "vmf_insert_pfn")
def vmf_insert_pfn(vmf: VmFaultInfo, pfn: int) -> VmFault:
    """Map a page, unless something is mapped there already; the answer is NOPAGE either way."""
    if not pte_offset_map_lock(vmf.mm):
        return VmFault.NOPAGE
    ptep = vmf.mm.pte(vmf.address)
    if ptep_get(ptep).none:
        write = bool(vmf.vm_flags & Vm.WRITE)
        with atomic():
            folio_get(pfn)
            folio_add_file_rmap_pte(pfn)
            set_pte_at(ptep, mk_pte(pfn, write=write, dirty=vmf.write))
    pte_unmap_unlock(vmf.mm)
    return VmFault.NOPAGE
