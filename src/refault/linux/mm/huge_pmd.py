"""Changing a PMD entry that maps a huge page (``mm/huge_memory.c``).

The lock of the entry keeps out who takes it. Who only looks whether there is anything below the
entry does not: so an entry that is being changed is made invalid to the hardware and not none.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.mm_types import HugePmd, VmArea
from refault.linux.include.linux.page import PageAnonExclusive
from refault.linux.mm.pgtable_generic import pmd_trans_huge_lock, pte_unmap_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/huge_memory.c")
def change_huge_pmd(vma: VmArea, vm_flags: Vm, *, numa: bool) -> bool:
    """Change the protection of a huge page; tells whether a flush is needed."""
    mm = vma.vm_mm
    pmd = pmd_trans_huge_lock(mm)
    if pmd is None:
        return False
    if not (numa and pmd.protnone):
        write = bool(vm_flags & Vm.WRITE) and not numa and PageAnonExclusive(pmd.pfn)
        pmdp_invalidate_ad(vma, pmd)
        mm.pmd.write(pmd._replace(protnone=numa, write=write))
        note("PMD is changed")
    pte_unmap_unlock(mm)
    return True


@kernel_function("mm/pgtable-generic.c", quiet=True)
def pmdp_invalidate_ad(vma: VmArea, pmd: HugePmd) -> None:
    """Make the entry invalid to the hardware, though not none, so that no bit gets lost.

    To software it looks present, to the hardware it is as good as a protnone entry.
    """
    vma.vm_mm.pmd.write(pmd._replace(protnone=True))
