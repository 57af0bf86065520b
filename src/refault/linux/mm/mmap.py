"""Finding a VMA, and growing a stack (``mm/mmap.c``, ``mm/vma.c``).

A stack grows when somebody faults just outside of it. That changes the VMA and the tree that it is
in, so it takes mmap_lock for writing, and the lock of the VMA: a fault that runs under that one
must not see where the VMA begins change.

Left out are the limits that a stack meets other than other mappings: rlimits and accounting. The
gap that has to stay free below it is one page here, 256 in the kernel.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.arch import ARCHITECTURES
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.include.uapi.errno import EFAULT, ENOMEM, EPERM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.lib.maple_tree import mas_store, mas_walk
from refault.linux.mm.mmap_lock import (
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock_killable,
    mmap_write_unlock,
    vma_start_write,
)
from refault.linux.modelled import current_kernel, kernel_function

STACK_GUARD_GAP = PAGE_SIZE
MMAP_MIN_ADDR = PAGE_SIZE
FIRST_USER_ADDRESS = dict.fromkeys(ARCHITECTURES, 0) | {"arm": 2 * PAGE_SIZE}
"""The lowest address that a process can have; the vectors of arm are below it."""


def _tree(mm: MmStruct) -> list[VmArea]:
    """The VMAs in the order of their addresses, in one look."""
    with atomic():
        covered = [(vma.covered(), vma) for vma in mm.vmas]
    return [vma for span, vma in sorted(covered, key=lambda c: c[0].start) if span.end]


@kernel_function("mm/mmap.c", quiet=True)
def find_vma(mm: MmStruct, address: int) -> VmArea | None:
    """Return the first VMA that ends above an address; it need not cover it."""
    if mm.stack_tree is not None:
        mas_walk(mm.stack_tree)
    return next((vma for vma in _tree(mm) if address < vma.vm_end), None)


@kernel_function("mm/mmap.c", quiet=True)
def find_vma_prev(mm: MmStruct, address: int) -> tuple[VmArea | None, VmArea | None]:
    """Return what ``find_vma()`` does, and the VMA before it."""
    found = find_vma(mm, address)
    below = [vma for vma in _tree(mm) if vma.vm_end <= address]
    return found, below[-1] if below else None


@kernel_function("mm/mmap.c")
def expand_stack(mm: MmStruct, address: int) -> VmArea | None:
    """Grow a stack for those who hold mmap_lock for reading.

    Drops it, takes it for writing, and looks again; returns with it held for reading once more,
    or not held at all if there is nothing to grow.
    """
    mmap_read_unlock(mm)
    if mmap_write_lock_killable(mm):
        return None
    vma, prev = find_vma_prev(mm, address)
    if vma is not None and vma.vm_start <= address:
        grown: VmArea | None = vma
    elif prev is not None and not expand_upwards(prev, address):
        grown = prev
    else:
        grown = vma if vma is not None and not expand_stack_locked(vma, address) else None
    if grown is None:
        mmap_write_unlock(mm)
        return None
    mmap_write_downgrade(mm)
    return grown


@kernel_function("mm/mmap.c", quiet=True)
def expand_stack_locked(vma: VmArea, address: int) -> int:
    """Grow a stack down to an address; 0 or -errno. The caller holds mmap_lock for writing."""
    return expand_downwards(vma, address)


@kernel_function("mm/vma.c")
def expand_downwards(vma: VmArea, address: int) -> int:
    """Move the beginning of a stack; 0 or -errno."""
    page = address & ~(PAGE_SIZE - 1)
    if not vma.vm_flags.read() & Vm.GROWSDOWN:
        return -EFAULT
    if page < max(MMAP_MIN_ADDR, FIRST_USER_ADDRESS[current_kernel().arch]):
        return -EPERM
    below = [other for other in _tree(vma.vm_mm) if other.vm_end <= vma.vm_start]
    if below and page - below[-1].vm_end < STACK_GUARD_GAP:
        return -ENOMEM
    vma_start_write(vma)
    span = vma.covered()
    if page < span.start:
        vma.span.write(span._replace(start=page))
        _store(vma, f"{vma} begins at {page:#x}")
    return 0


@kernel_function("mm/vma.c")
def expand_upwards(vma: VmArea, address: int) -> int:
    """Move the end of a stack that grows up; 0 or -errno."""
    end = (address & ~(PAGE_SIZE - 1)) + PAGE_SIZE
    if not vma.vm_flags.read() & Vm.GROWSUP:
        return -EFAULT
    above = [other for other in _tree(vma.vm_mm) if other.vm_start >= vma.vm_end]
    if above and above[0].vm_start - end < STACK_GUARD_GAP:
        return -ENOMEM
    vma_start_write(vma)
    span = vma.covered()
    if end > span.end:
        vma.span.write(span._replace(end=end))
        _store(vma, f"{vma} ends at {end:#x}")
    return 0


def _store(vma: VmArea, what: str) -> None:
    tree = vma.vm_mm.stack_tree
    assert tree is not None, "only a stack grows, and a process with a stack has a tree"
    mas_store(tree)
    note(what)
