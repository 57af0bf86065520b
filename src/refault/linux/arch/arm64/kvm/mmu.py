"""Faults of a guest on arm64 (``arch/arm64/kvm/mmu.c``): ``user_mem_abort()``.

How much is mapped at a time is decided by the mapping of the host: where that is of huge pages, a
block. A block is two pages here, whose frames lie one behind the other, and any mapping that
covers all of it stands for one of huge pages.
"""

from __future__ import annotations

from refault.explore import note, restart
from refault.linux.arch.x86.kvm.mmu.mmu import is_page_fault_stale, kvm_mmu_seq_look
from refault.linux.arch.x86.kvm.x86 import guest_access
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import kernel_function
from refault.linux.virt.kvm.kvm_host import Kvm, PfnError, Spte
from refault.linux.virt.kvm.kvm_main import hva_to_pfn, kvm_release_page

BLOCK_PAGES = 2


@kernel_function("arch/arm64/kvm/arm.c", label="KVM_RUN", qualified=True)
def kvm_arch_vcpu_ioctl_run(kvm: Kvm, address: int, value: int | None) -> int:
    """Let a guest load from, or store a ``value`` to, one address; what it loads, or -errno."""
    while True:
        restart()
        seen = guest_access(kvm, address, value)
        if seen is not None:
            return seen
        ret = user_mem_abort(kvm, address, value is not None)
        if ret:
            return ret


@kernel_function("arch/arm64/kvm/mmu.c")
def user_mem_abort(kvm: Kvm, address: int, write: bool) -> int:
    """Map a page for the guest, or a block; 0, also to let it try again, or -errno."""
    mmap_read_lock(kvm.mm)
    vma = kvm.mm.find_vma(address)
    if vma is None:
        mmap_read_unlock(kvm.mm)
        return -EFAULT
    pages = BLOCK_PAGES if is_block(vma, address) else 1
    abort_seq_under_lock(kvm)
    mmap_read_unlock(kvm.mm)
    abort_seq_after_unlock(kvm)
    found = hva_to_pfn(kvm, address, write, Foll.INTERRUPTIBLE)
    if isinstance(found, PfnError):
        return -EFAULT
    spin_lock(kvm.mmu_lock)
    if not is_page_fault_stale(kvm):
        note(f"{'a block' if pages > 1 else 'a page'} is mapped")
        for page in range(pages):
            spte = Spte(found.pfn + page, found.writable)
            kvm.sptes[address + page * PAGE_SIZE].write(spte)
    spin_unlock(kvm.mmu_lock)
    kvm_release_page(found.pfn)
    return 0


def is_block(vma: VmArea, address: int) -> bool:
    """Tell whether a mapping has room for the block that begins at an address."""
    return vma.vm_start <= address and address + BLOCK_PAGES * PAGE_SIZE <= vma.vm_end


@kernel_function("arch/arm64/kvm/mmu.c", quiet=True)
def abort_seq_under_lock(kvm: Kvm) -> None:
    """Remember the sequence while the mapping is as it was found."""
    kvm_mmu_seq_look(kvm)


@kernel_function("arch/arm64/kvm/mmu.c", quiet=True)
def abort_seq_after_unlock(kvm: Kvm) -> None:
    """That has been done."""
