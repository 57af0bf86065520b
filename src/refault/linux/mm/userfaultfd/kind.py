"""What kind of memory a mapping is, as far as userfaultfd treats it differently."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.mm.shmem import ShmemFile


def vma_is_anonymous(vma: VmArea) -> bool:
    """Private memory without a file."""
    return vma.vm_file is None and not vma.vm_flags.read() & Vm.HUGETLB


def vma_is_shmem(vma: VmArea) -> bool:
    """A mapping of tmpfs."""
    return isinstance(vma.vm_file, ShmemFile)


def is_vm_hugetlb_page(vma: VmArea) -> bool:
    """A mapping of huge pages of hugetlb."""
    return bool(vma.vm_flags.read() & Vm.HUGETLB)


def can_userfault(vma: VmArea, modes: Vm) -> bool:
    """``vma_can_userfault()``: of these only tmpfs and hugetlb can raise minor faults."""
    if not (vma_is_anonymous(vma) or vma_is_shmem(vma) or is_vm_hugetlb_page(vma)):
        return False
    return not modes & Vm.UFFD_MINOR or not vma_is_anonymous(vma)
