"""Filling holes for userfaultfd (``mm/userfaultfd.c``: ``mfill_atomic()``).

Filling takes the lock of the VMA for reading, as a fault does, so it runs beside faults; the
page-table lock decides who is first, and whoever comes second gets ``-EEXIST``. A range is filled
page after page under one lock, and what was filled before an error stays.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from refault.explore import atomic, note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.linux.page import (
    alloc_page,
    folio_add_new_anon_rmap,
    folio_put,
    frame,
)
from refault.linux.include.linux.pgtable import ZERO_PFN, mk_pte, ptep_get, set_pte_at
from refault.linux.include.uapi.errno import EAGAIN, EEXIST, EFAULT, EINVAL, ENOENT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, CopyMode
from refault.linux.kernel.locking.rwsem import down_read, up_read
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.mm.userfaultfd.copy import (
    COPIED,
    Source,
    copy_outside_the_locks,
    copy_with_faults_disabled,
)
from refault.linux.mm.userfaultfd.lock import uffd_mfill_lock, uffd_mfill_unlock
from refault.linux.modelled import kernel_function

__all__ = ["COPIED", "Fill", "Mfill", "mfill_atomic", "mfill_atomic_copy", "mfill_atomic_zeropage"]


class Fill(Enum):
    """``enum mfill_atomic_mode``: what to fill with."""

    COPY = "copy"
    ZEROPAGE = "zero page"


class Mfill(NamedTuple):
    """What ``mfill_atomic()`` is asked to do; no ``source`` is one that is there."""

    kind: Fill
    dst: int
    length: int = PAGE_SIZE
    source: Source | None = None
    wp: bool = False


NEEDS_FAULT = -1
"""What a page's filling returns for "drop the locks and copy again", in the kernel -ENOENT."""


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_copy(
    ctx: UserfaultfdCtx, dst: int, length: int, mode: CopyMode, source: Source | None = None
) -> int:
    """Fill a hole with a copy."""
    wp = bool(mode & CopyMode.WP)
    return mfill_atomic(ctx, Mfill(Fill.COPY, dst, length, source, wp))


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_zeropage(ctx: UserfaultfdCtx, dst: int, length: int) -> int:
    """Fill a hole with the zero page."""
    return mfill_atomic(ctx, Mfill(Fill.ZEROPAGE, dst, length))


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic(ctx: UserfaultfdCtx, ask: Mfill) -> int:
    """Fill a range under the VMA lock; returns the bytes filled if there are any, or -errno.

    After a copy outside the locks the VMA is looked up anew, from the start of the range, and the
    work goes on where it stopped, with the page that was copied in ``folio``.
    """
    done, folio = 0, 0
    before: Vm | None = None
    while True:
        vma = mfill_get_vma(ctx, ask)
        if isinstance(vma, int):
            err = vma
            break
        if before is not None and not mfill_retry_state_same(before, vma):
            mfill_put_vma(ctx, vma)
            err = -EAGAIN
            break
        done, folio, err = _fill_pages(vma, ask, done, folio)
        if err == NEEDS_FAULT:
            before = mfill_retry_state_save(vma)
        mfill_put_vma(ctx, vma)
        if err != NEEDS_FAULT:
            break
        assert ask.source is not None
        data = copy_outside_the_locks(ask.source, done)
        if data is None:
            err = -EFAULT
            break
        frame(folio).data.write(data)
    if folio:
        folio_put(folio)
    return done or err


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_retry_state_save(vma: VmArea) -> Vm:
    """What of a VMA has to be the same after a copy outside the locks: nothing."""
    return Vm.NONE


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_retry_state_same(before: Vm, vma: VmArea) -> bool:
    """Tell whether it is."""
    return True


def _fill_pages(vma: VmArea, ask: Mfill, done: int, folio: int) -> tuple[int, int, int]:
    """Fill pages until one fails; returns the bytes done, a folio left over, and -errno."""
    err = 0
    while done < ask.length:
        err, folio = mfill_atomic_pte(vma, ask, done, folio)
        if err:
            break
        done += PAGE_SIZE
    return done, folio, err


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_get_vma(ctx: UserfaultfdCtx, ask: Mfill) -> VmArea | int:
    """Take the locks and look whether the VMA can be filled so; returns it, or -errno."""
    vma = uffd_mfill_lock(ctx.mm, ask.dst, ask.length)
    if isinstance(vma, int):
        return vma
    down_read(ctx.map_changing_lock)
    err = -EAGAIN if ctx.mmap_changing.read() else _validate(ctx, vma, ask)
    if err:
        mfill_put_vma(ctx, vma)
    return err or vma


def _validate(ctx: UserfaultfdCtx, vma: VmArea, ask: Mfill) -> int:
    if not may_fill_for(ctx, vma):
        return -ENOENT
    return -EINVAL if ask.wp and not vma.vm_flags.read() & Vm.UFFD_WP else 0


@kernel_function("mm/userfaultfd.c", quiet=True)
def may_fill_for(ctx: UserfaultfdCtx, vma: VmArea) -> bool:
    """Tell whether a VMA that is registered may be filled by way of ``ctx``: by way of any."""
    return True


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_put_vma(ctx: UserfaultfdCtx, vma: VmArea) -> None:
    """Give the locks back."""
    up_read(ctx.map_changing_lock)
    uffd_mfill_unlock(vma)


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_pte(vma: VmArea, ask: Mfill, offset: int, folio: int) -> tuple[int, int]:
    """Fill one page; returns -errno, and a folio that waits for its contents."""
    dst = ask.dst + offset
    if ask.kind is Fill.ZEROPAGE:
        return mfill_atomic_pte_zeropage(vma, dst), 0
    return mfill_atomic_pte_copy(vma, ask, dst, folio)


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_pte_copy(vma: VmArea, ask: Mfill, dst: int, folio: int) -> tuple[int, int]:
    """Copy the source into a new page and map that; ``folio`` is one that is copied already."""
    pfn = folio or alloc_page()
    if not folio:
        data = copy_with_faults_disabled(ask.source, dst - ask.dst)
        if data is None:
            return NEEDS_FAULT, pfn
        frame(pfn).data.write(data)
    err = mfill_atomic_install_pte(vma, dst, vma.vm_flags.read(), pfn, ask.wp)
    if err:
        folio_put(pfn)
    return err, 0


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
    return 0
