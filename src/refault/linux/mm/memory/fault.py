"""Page faults from the top down to their kind (``mm/memory.c``).

The kind is decided on a lockless read of the PTE. Each branch then takes the page-table lock,
looks whether the PTE is still the same, and gives up if not: the instruction runs again and
decides anew. So a missing event is never raised for a PTE that is none for a moment only.
"""

from __future__ import annotations

from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import HugePmd, Pmd, VmArea, VmFaultInfo
from refault.linux.include.linux.pgtable import NONE, pte_same, ptep_get, ptep_set_access_flags
from refault.linux.include.linux.sched import TASK_RUNNING
from refault.linux.kernel.sched.core import __set_current_state
from refault.linux.mm.huge_memory import (
    create_huge_pmd,
    do_huge_pmd_numa_page,
    huge_pmd_set_accessed,
    thp_vma_allowable_order,
    wp_huge_pmd,
)
from refault.linux.mm.hugetlb import hugetlb_fault
from refault.linux.mm.memory.anon import do_anonymous_page
from refault.linux.mm.memory.contract import (
    check_fault_contract,
    mm_account_fault,
    sanitize_fault_flags,
)
from refault.linux.mm.memory.file import do_fault
from refault.linux.mm.memory.numa import do_numa_page
from refault.linux.mm.memory.swap_in import do_swap_page
from refault.linux.mm.memory.wp import do_wp_page
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock, read_pmd
from refault.linux.modelled import kernel_function

_ACCESS = Vm.READ | Vm.WRITE | Vm.EXEC


@kernel_function("mm/memory.c", quiet=True)
def handle_mm_fault(vma: VmArea, address: int, flags: FaultFlag) -> VmFault:
    """Resolve a fault; the caller holds the fault lock.

    With RETRY or COMPLETED in the result the lock has been dropped, else it is still held. Once
    it has been dropped the VMA may be gone, so nothing reads it after the handler has returned.
    """
    __set_current_state(TASK_RUNNING)
    mm, vm_flags = vma.vm_mm, vma.vm_flags.read()
    vmf = VmFaultInfo(vma, address, sanitize_fault_flags(vm_flags, flags), vm_flags)
    fault = hugetlb_fault(vmf) if vm_flags & Vm.HUGETLB else __handle_mm_fault(vmf)
    if vma.vm_file is not None:
        check_fault_contract(vmf, mm, fault)
    mm_account_fault(flags, fault)
    return fault


@kernel_function("mm/memory.c", quiet=True)
def __handle_mm_fault(vmf: VmFaultInfo) -> VmFault:
    """Try with a huge page first, where the mapping asks for one."""
    pmd = vmf.mm.pmd.read()
    if pmd is Pmd.NONE and thp_vma_allowable_order(vmf):
        fault = create_huge_pmd(vmf)
        if not fault & VmFault.FALLBACK:
            return fault
    if isinstance(pmd, HugePmd):
        if pmd.protnone and vmf.vm_flags & _ACCESS:
            return do_huge_pmd_numa_page(vmf, pmd)
        if vmf.write and not pmd.write:
            fault = wp_huge_pmd(vmf, pmd)
            if not fault & VmFault.FALLBACK:
                return fault
        else:
            return huge_pmd_set_accessed(vmf, pmd)
    return handle_pte_fault(vmf)


@kernel_function("mm/memory.c", quiet=True)
def handle_pte_fault(vmf: VmFaultInfo) -> VmFault:
    """Tell the kinds apart, by a read of the PTE without its lock."""
    pmd = read_pmd(vmf.mm)
    if pmd is Pmd.NONE:
        return do_pte_missing(vmf._replace(orig_pte=NONE))
    if pmd is not Pmd.TABLE:
        return VmFault.NONE
    orig = ptep_get(vmf.mm.pte(vmf.address))
    vmf = vmf._replace(orig_pte=orig, flags=vmf.flags | FaultFlag.ORIG_PTE_VALID)
    if orig.none:
        return do_pte_missing(vmf)
    if not orig.present:
        return do_swap_page(vmf)
    if orig.protnone and vmf.vm_flags & _ACCESS:
        return do_numa_page(vmf)
    return _present(vmf)


@kernel_function("mm/memory.c", quiet=True)
def do_pte_missing(vmf: VmFaultInfo) -> VmFault:
    """Nothing is mapped: ask whoever provides the memory."""
    return do_anonymous_page(vmf) if vmf.vma.vm_file is None else do_fault(vmf)


def _present(vmf: VmFaultInfo) -> VmFault:
    """Make a present PTE fit for the access, under its lock."""
    mm, entry = vmf.mm, vmf.orig_pte
    if not pte_offset_map_lock(mm):
        return VmFault.NONE
    ptep = mm.pte(vmf.address)
    if not pte_same(ptep_get(ptep), entry):
        pte_unmap_unlock(mm)
        return VmFault.NONE
    if vmf.flags & (FaultFlag.WRITE | FaultFlag.UNSHARE):
        if not entry.write:
            return do_wp_page(vmf)
        if vmf.write:
            entry = entry._replace(dirty=True)
    ptep_set_access_flags(ptep, entry)
    pte_unmap_unlock(mm)
    return VmFault.NONE
