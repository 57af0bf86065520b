"""Filling holes and write-protecting for userfaultfd (``mm/userfaultfd.c``).

Filling takes the lock of the VMA for reading, as a fault does, so it runs beside faults; the
page-table lock decides who is first, and whoever comes second gets ``-EEXIST``. The source of a
copy is taken to be present: the path that drops the locks and faults it in is left out.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.include.linux.page import (
    alloc_page,
    folio_add_new_anon_rmap,
    folio_put,
    frame,
)
from refault.linux.include.linux.pgtable import ZERO_PFN, mk_pte, ptep_get, set_pte_at
from refault.linux.include.uapi.errno import EAGAIN, EEXIST, EINVAL, ENOENT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, CopyMode
from refault.linux.kernel.locking.rwsem import down_read, up_read
from refault.linux.mm.mmap_lock import (
    lock_vma_under_rcu,
    mmap_read_lock,
    mmap_read_unlock,
    vma_end_read,
    vma_start_read,
)
from refault.linux.mm.mprotect import MmCp, change_protection
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.modelled import kernel_function

COPIED = 7
"""The contents of a page that UFFDIO_COPY filled."""


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_mfill_lock(mm: MmStruct, dst: int) -> int:
    """Lock the VMA for reading, by way of mmap_lock if a writer is at it."""
    if lock_vma_under_rcu(mm, dst):
        return 0
    mmap_read_lock(mm)
    locked = vma_start_read(mm.find_vma(dst))
    mmap_read_unlock(mm)
    return 0 if locked else -EAGAIN


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_mfill_unlock(vma: VmArea) -> None:
    """Give the VMA lock back."""
    vma_end_read(vma)


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_copy(ctx: UserfaultfdCtx, dst: int, mode: CopyMode) -> int:
    """Fill a hole with a copy."""
    return mfill_atomic(ctx, dst, zeropage=False, wp=bool(mode & CopyMode.WP))


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_zeropage(ctx: UserfaultfdCtx, dst: int) -> int:
    """Fill a hole with the zero page."""
    return mfill_atomic(ctx, dst, zeropage=True, wp=False)


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic(ctx: UserfaultfdCtx, dst: int, *, zeropage: bool, wp: bool) -> int:
    """Fill one page under the VMA lock; returns the bytes filled, or -errno."""
    err = uffd_mfill_lock(ctx.mm, dst)
    if err:
        return err
    vma = ctx.mm.find_vma(dst)
    down_read(ctx.map_changing_lock)
    filled = _mfill_locked(ctx, vma, dst, zeropage, wp)
    up_read(ctx.map_changing_lock)
    uffd_mfill_unlock(vma)
    return filled


def _mfill_locked(ctx: UserfaultfdCtx, vma: VmArea, dst: int, zeropage: bool, wp: bool) -> int:
    if ctx.mmap_changing.read():
        return -EAGAIN
    if vma.ctx is None:
        return -ENOENT
    vm_flags = vma.vm_flags.read()
    if wp and not vm_flags & Vm.UFFD_WP:
        return -EINVAL
    if zeropage:
        return mfill_atomic_pte_zeropage(vma, dst)
    return mfill_atomic_pte_copy(vma, dst, vm_flags, wp)


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_pte_copy(vma: VmArea, dst: int, vm_flags: Vm, wp: bool) -> int:
    """Copy the source into a new page and map that."""
    pfn = alloc_page()
    frame(pfn).data.write(COPIED)
    err = mfill_atomic_install_pte(vma, dst, vm_flags, pfn, wp)
    if err:
        folio_put(pfn)
    return err or PAGE_SIZE


@kernel_function("mm/userfaultfd.c")
def mfill_atomic_install_pte(vma: VmArea, dst: int, vm_flags: Vm, pfn: int, wp: bool) -> int:
    """Map a new page in a hole, or where there is but a marker."""
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(dst)
    if not pte_offset_map_lock(mm):
        return -EAGAIN
    if not ptep_get(ptep).none_mostly:
        pte_unmap_unlock(mm)
        return -EEXIST
    pte = mk_pte(pfn, write=bool(vm_flags & Vm.WRITE), dirty=True, uffd_wp=wp)
    with atomic():
        folio_add_new_anon_rmap(pfn)
        folio_add_lru(pfn)
        set_pte_at(ptep, pte)
    if wp:
        note("write-protected")
    pte_unmap_unlock(mm)
    return 0


@kernel_function("mm/userfaultfd.c")
def mfill_atomic_pte_zeropage(vma: VmArea, dst: int) -> int:
    """Map the zero page in a hole, read-only."""
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(dst)
    if not pte_offset_map_lock(mm):
        return -EAGAIN
    if not ptep_get(ptep).none:
        pte_unmap_unlock(mm)
        return -EEXIST
    set_pte_at(ptep, mk_pte(ZERO_PFN))
    pte_unmap_unlock(mm)
    return PAGE_SIZE


@kernel_function("mm/userfaultfd.c", quiet=True)
def mwriteprotect_range(ctx: UserfaultfdCtx, start: int, enable_wp: bool) -> int:
    """Protect or unprotect under mmap_lock for reading."""
    mmap_read_lock(ctx.mm)
    down_read(ctx.map_changing_lock)
    err = _writeprotect_locked(ctx, start, enable_wp)
    up_read(ctx.map_changing_lock)
    mmap_read_unlock(ctx.mm)
    return err


def _writeprotect_locked(ctx: UserfaultfdCtx, start: int, enable_wp: bool) -> int:
    if ctx.mmap_changing.read():
        return -EAGAIN
    vma = ctx.mm.find_vma(start)
    vm_flags = vma.vm_flags.read()
    if not vm_flags & Vm.UFFD_WP:
        return -ENOENT
    uffd_wp_range(vma, start, vm_flags, enable_wp)
    return 0


@kernel_function("mm/userfaultfd.c", quiet=True)
def uffd_wp_range(vma: VmArea, start: int, vm_flags: Vm, enable_wp: bool) -> None:
    """Set or clear the bit; unprotecting also makes writable what need not fault."""
    cp_flags = MmCp.UFFD_WP if enable_wp else MmCp.UFFD_WP_RESOLVE
    if not enable_wp and vm_flags & Vm.WRITE:
        cp_flags |= MmCp.TRY_CHANGE_WRITABLE
    change_protection(vma, start, vm_flags, cp_flags)
    note("write-protected" if enable_wp else "unprotected")
