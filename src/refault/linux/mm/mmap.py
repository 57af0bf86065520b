"""Finding a VMA, and growing a stack (``mm/mmap.c``, ``mm/vma.c``)."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/mmap.c", quiet=True)
def find_vma(mm: MmStruct, address: int) -> VmArea | None:
    """Return the first VMA that ends above an address; it need not cover it."""
    return next((vma for vma in mm.vmas if address < vma.vm_end), None)


@kernel_function("mm/mmap.c", quiet=True)
def find_vma_prev(mm: MmStruct, address: int) -> tuple[VmArea | None, VmArea | None]:
    """Return what ``find_vma()`` does, and the VMA before it."""
    below = [vma for vma in mm.vmas if vma.vm_end <= address]
    return find_vma(mm, address), below[-1] if below else None


@kernel_function("mm/mmap.c")
def expand_stack(mm: MmStruct, address: int) -> VmArea | None:
    """Grow a stack."""
    raise NotModelled("a stack that grows")


@kernel_function("mm/mmap.c", quiet=True)
def expand_stack_locked(vma: VmArea, address: int) -> bool:
    """Grow a stack."""
    raise NotModelled("a stack that grows")
