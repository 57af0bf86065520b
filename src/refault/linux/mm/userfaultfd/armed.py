"""What a fault reads of a mapping: its userfaultfd, and what that is to be told of."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock, vma_start_write
from refault.linux.mm.userfaultfd.lock import vmas_in
from refault.linux.modelled import kernel_function


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
