"""Tying VMAs to a userfaultfd and setting them free (``mm/userfaultfd.c``).

All under mmap_lock for writing. What a fault reads of a VMA changes only after
``vma_start_write()``, which waits for the faults that hold the lock of the VMA; whatever is done
before that is done beside them.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.kernel.fork import mmget_not_zero
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock, vma_start_write
from refault.linux.mm.userfaultfd.lock import vma_bounds, vmas_in
from refault.linux.mm.userfaultfd.wp import uffd_wp_range
from refault.linux.modelled import NotModelled, kernel_function


def _whole(vma: VmArea, start: int, end: int) -> None:
    """``vma_modify_flags_uffd()``, where there is nothing to split and merging is left out."""
    if (start, end) != vma_bounds(vma):
        raise NotModelled("splitting a mapping", f"{start:#x}-{end:#x} is a part of {vma} only")


@kernel_function("mm/userfaultfd.c", quiet=True)
def userfaultfd_set_ctx(vma: VmArea, ctx: UserfaultfdCtx | None, modes: Vm) -> None:
    """Write what a fault reads of the VMA, with the VMA lock held for writing."""
    vma_start_write(vma)
    vma.uffd_ctx.write(ctx.name if ctx else "")
    vma.vm_flags.write((vma.vm_flags.read() & ~Vm.UFFD) | modes)


@kernel_function("mm/userfaultfd.c", quiet=True)
def userfaultfd_reset_ctx(vma: VmArea) -> None:
    """Set a VMA free."""
    userfaultfd_set_ctx(vma, None, Vm.NONE)


@kernel_function("mm/userfaultfd.c")
def userfaultfd_clear_vma(vma: VmArea, start: int, end: int) -> None:
    """Unprotect the range and set it free; the one is done before the VMA is locked."""
    if vma.vm_flags.read() & Vm.UFFD_WP:
        uffd_wp_range(vma, start, end, False)
    _whole(vma, start, end)
    userfaultfd_reset_ctx(vma)
    note(f"{vma} is no longer registered")


@kernel_function("mm/userfaultfd.c", quiet=True)
def userfaultfd_register_range(ctx: UserfaultfdCtx, modes: Vm, start: int, end: int) -> None:
    """Register each VMA of a range, unless it has all these modes already."""
    for vma in vmas_in(ctx.mm, start, end):
        if vma.ctx is ctx and vma.vm_flags.read() & modes == modes:
            continue
        first, last = vma_bounds(vma)
        _whole(vma, max(first, start), min(last, end))
        userfaultfd_set_ctx(vma, ctx, modes)


def all_vmas(mm: MmStruct) -> list[VmArea]:
    """Return the VMAs of an address space, in order; the caller holds mmap_lock."""
    return vmas_in(mm, 0, 1 << 64)


@kernel_function("mm/userfaultfd.c", quiet=True)
def userfaultfd_release_new(ctx: UserfaultfdCtx) -> None:
    """Set free the VMAs of a child whose FORK event nobody read."""
    mmap_write_lock(ctx.mm)
    for vma in all_vmas(ctx.mm):
        if vma.ctx is ctx:
            userfaultfd_reset_ctx(vma)
    mmap_write_unlock(ctx.mm)


@kernel_function("mm/userfaultfd.c", quiet=True)
def userfaultfd_release_all(ctx: UserfaultfdCtx) -> None:
    """Set free all VMAs of a userfaultfd that is being closed.

    Taking mmap_lock and each VMA lock for writing flushes out the faults that have not seen
    ``released``: when it is done they are queued, and nobody can be queued after them.
    """
    if not mmget_not_zero(ctx.mm):
        return
    mmap_write_lock(ctx.mm)
    for vma in all_vmas(ctx.mm):
        if vma.ctx is ctx:
            userfaultfd_clear_vma(vma, *vma_bounds(vma))
    mmap_write_unlock(ctx.mm)
