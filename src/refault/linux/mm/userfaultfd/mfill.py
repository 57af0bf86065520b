"""Filling holes for userfaultfd (``mm/userfaultfd.c``: ``mfill_atomic()``).

Filling takes the lock of the VMA for reading, as a fault does, so it runs beside faults; the
page-table lock decides who is first, and whoever comes second gets ``-EEXIST``. A range is filled
page after page under one lock, and what was filled before an error stays.
"""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.linux.page import folio_put, frame
from refault.linux.include.uapi.errno import EAGAIN, EFAULT, EINVAL, ENOENT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, ContinueMode, CopyMode
from refault.linux.mm.userfaultfd.changing import hold_mmap_changing, release_mmap_changing
from refault.linux.mm.userfaultfd.copy import COPIED, Source, copy_outside_the_locks
from refault.linux.mm.userfaultfd.hugetlb import mfill_atomic_hugetlb
from refault.linux.mm.userfaultfd.kind import (
    is_vm_hugetlb_page,
    vma_is_anonymous,
    vma_is_shmem,
)
from refault.linux.mm.userfaultfd.lock import uffd_mfill_lock, uffd_mfill_unlock
from refault.linux.mm.userfaultfd.pte import (
    mfill_atomic_pte_continue,
    mfill_atomic_pte_copy,
    mfill_atomic_pte_poison,
    mfill_atomic_pte_zeropage,
    shmem_mfill_atomic_pte,
)
from refault.linux.mm.userfaultfd.request import NEEDS_FAULT, Fill, Mfill
from refault.linux.modelled import kernel_function

__all__ = ["COPIED", "Fill", "Mfill", "mfill_atomic", "mfill_atomic_copy", "mfill_atomic_zeropage"]


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
def mfill_atomic_continue(ctx: UserfaultfdCtx, dst: int, length: int, mode: ContinueMode) -> int:
    """Map what the file has."""
    return mfill_atomic(ctx, Mfill(Fill.CONTINUE, dst, length, wp=bool(mode & ContinueMode.WP)))


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_poison(ctx: UserfaultfdCtx, dst: int, length: int) -> int:
    """Make accesses fail as if the memory was broken."""
    return mfill_atomic(ctx, Mfill(Fill.POISON, dst, length))


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
    hold_mmap_changing(ctx)
    err = -EAGAIN if ctx.mmap_changing.read() else _validate(ctx, vma, ask)
    if err:
        mfill_put_vma(ctx, vma)
    return err or vma


def _validate(ctx: UserfaultfdCtx, vma: VmArea, ask: Mfill) -> int:
    if not may_fill_for(ctx, vma):
        return -ENOENT
    if ask.wp and not vma.vm_flags.read() & Vm.UFFD_WP:
        return -EINVAL
    if is_vm_hugetlb_page(vma):
        return -EINVAL if ask.kind is Fill.ZEROPAGE else 0
    if not vma_is_anonymous(vma) and not vma_is_shmem(vma):
        return -EINVAL
    return -EINVAL if ask.kind is Fill.CONTINUE and not vma_is_shmem(vma) else 0


@kernel_function("mm/userfaultfd.c", quiet=True)
def may_fill_for(ctx: UserfaultfdCtx, vma: VmArea) -> bool:
    """Tell whether a VMA that is registered may be filled by way of ``ctx``: by way of any."""
    return True


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_put_vma(ctx: UserfaultfdCtx, vma: VmArea) -> None:
    """Give the locks back."""
    release_mmap_changing(ctx)
    uffd_mfill_unlock(vma)


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_pte(vma: VmArea, ask: Mfill, offset: int, folio: int) -> tuple[int, int]:
    """Fill one page; returns -errno, and a folio that waits for its contents."""
    dst = ask.dst + offset
    if is_vm_hugetlb_page(vma):
        return mfill_atomic_hugetlb(vma, ask, dst, folio)
    if ask.kind is Fill.CONTINUE:
        return mfill_atomic_pte_continue(vma, dst, ask.wp), 0
    if ask.kind is Fill.POISON:
        return mfill_atomic_pte_poison(vma, dst), 0
    if vma.vm_flags.read() & Vm.SHARED:
        return shmem_mfill_atomic_pte(vma, ask, dst, folio)
    if ask.kind is Fill.ZEROPAGE:
        return mfill_atomic_pte_zeropage(vma, dst), 0
    return mfill_atomic_pte_copy(vma, ask, dst, folio)
