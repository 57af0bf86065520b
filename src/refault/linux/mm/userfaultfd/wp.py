"""Write-protecting for userfaultfd (``mm/userfaultfd.c``)."""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.uapi.errno import EAGAIN, ENOENT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.mm.mprotect import MmCp, change_protection
from refault.linux.mm.userfaultfd.changing import hold_mmap_changing, release_mmap_changing
from refault.linux.mm.userfaultfd.lock import vma_bounds, vmas_in
from refault.linux.modelled import kernel_function


@kernel_function("mm/userfaultfd.c", quiet=True)
def mwriteprotect_range(ctx: UserfaultfdCtx, start: int, length: int, enable_wp: bool) -> int:
    """Protect or unprotect under mmap_lock for reading; returns 0 or -errno."""
    mmap_read_lock(ctx.mm)
    hold_mmap_changing(ctx)
    err = _writeprotect_locked(ctx, start, start + length, enable_wp)
    release_mmap_changing(ctx)
    mmap_read_unlock(ctx.mm)
    return err


def _writeprotect_locked(ctx: UserfaultfdCtx, start: int, end: int, enable_wp: bool) -> int:
    """VMA after VMA; what is done stays done when a later one is not registered for it."""
    if ctx.mmap_changing.read():
        return -EAGAIN
    err = -ENOENT
    for vma in vmas_in(ctx.mm, start, end):
        if not vma.vm_flags.read() & Vm.UFFD_WP:
            return -ENOENT
        first, last = vma_bounds(vma)
        uffd_wp_range(vma, max(first, start), min(last, end), enable_wp)
        err = 0
    return err


@kernel_function("mm/userfaultfd.c", quiet=True)
def unprotecting(vm_flags: Vm) -> MmCp:
    """How to unprotect: what no write fault would have to look at becomes writable."""
    upgrade = MmCp.TRY_CHANGE_WRITABLE if vm_flags & Vm.WRITE else MmCp.NONE
    return MmCp.UFFD_WP_RESOLVE | upgrade


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_wp_range(vma: VmArea, start: int, end: int, enable_wp: bool) -> None:
    """Set or clear the bit; unprotecting also makes writable what need not fault."""
    vm_flags = vma.vm_flags.read()
    cp_flags = MmCp.UFFD_WP if enable_wp else unprotecting(vm_flags)
    for address in range(start, end, PAGE_SIZE):
        change_protection(vma, address, vm_flags, cp_flags)
    note("write-protected" if enable_wp else "unprotected")
