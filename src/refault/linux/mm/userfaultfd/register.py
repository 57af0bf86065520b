"""Tying VMAs to a userfaultfd and setting them free (``mm/userfaultfd.c``).

All under mmap_lock for writing. What a fault reads of a VMA changes only after
``vma_start_write()``, which waits for the faults that hold the lock of the VMA; whatever is done
before that is done beside them.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.kernel.fork import get_task_mm, put_task_mm
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.linux.mm.userfaultfd.armed import (
    all_vmas,
    userfaultfd_reset_ctx,
    userfaultfd_set_ctx,
)
from refault.linux.mm.userfaultfd.lock import vma_bounds, vmas_in
from refault.linux.mm.userfaultfd.wp import uffd_wp_range
from refault.linux.mm.vma_merge import vma_modify
from refault.linux.modelled import kernel_function


@kernel_function("mm/vma.c", quiet=True)
def vma_modify_flags_uffd(vma: VmArea, start: int, end: int, modes: Vm, uffd: str) -> VmArea:
    """Return a VMA of a range that is to have these modes, joined with a neighbour that has."""
    return vma_modify(vma, start, end, (vma.vm_flags.read() & ~Vm.UFFD) | modes, uffd)


def is_gone(vma: VmArea) -> bool:
    """Tell whether a VMA has been joined with one before it, under the same mmap_lock."""
    return not vma.covered().end


@kernel_function("mm/userfaultfd.c")
def userfaultfd_clear_vma(vma: VmArea, start: int, end: int) -> None:
    """Unprotect the range and set it free; the one is done before the VMA is locked."""
    if vma.vm_flags.read() & Vm.UFFD_WP:
        uffd_wp_range(vma, start, end, False)
    vma = vma_modify_flags_uffd(vma, start, end, Vm.NONE, "")
    userfaultfd_reset_ctx(vma)
    note(f"{vma} is no longer registered")


@kernel_function("mm/userfaultfd.c", quiet=True)
def userfaultfd_register_range(ctx: UserfaultfdCtx, modes: Vm, start: int, end: int) -> None:
    """Register each VMA of a range, unless it has all these modes already."""
    for vma in vmas_in(ctx.mm, start, end):
        if is_gone(vma) or (vma.ctx is ctx and vma.vm_flags.read() & modes == modes):
            continue
        first, last = vma_bounds(vma)
        part = vma_modify_flags_uffd(vma, max(first, start), min(last, end), modes, ctx.name)
        userfaultfd_set_ctx(part, ctx, modes)


@kernel_function("mm/userfaultfd.c", quiet=True)
def userfaultfd_release_all(ctx: UserfaultfdCtx) -> None:
    """Set free all VMAs of a userfaultfd that is being closed.

    Taking mmap_lock and each VMA lock for writing flushes out the faults that have not seen
    ``released``: when it is done they are queued, and nobody can be queued after them. In an
    address space that is gone there is nothing to set free.
    """
    if not get_task_mm(ctx.mm):
        return
    mmap_write_lock(ctx.mm)
    for vma in all_vmas(ctx.mm):
        if not is_gone(vma) and vma.ctx is ctx:
            userfaultfd_clear_vma(vma, *vma_bounds(vma))
    mmap_write_unlock(ctx.mm)
    put_task_mm(ctx.mm)
