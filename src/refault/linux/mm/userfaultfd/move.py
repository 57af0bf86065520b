"""Moving pages (``mm/userfaultfd.c``: ``move_pages()``).

The frame itself goes from the one place to the other, with its folio locked: the source PTE is
made none and the destination's written under the page-table lock of both, so that the page is
seen in one of the two places, or for a moment in none. Only a page that belongs to its mapping
alone can be moved.

A page may be pinned without any lock until its PTE is none, so that is looked at once more then.

All pages of the model lie below one PMD entry, so there is one page-table lock. Left out are huge
pages, and the anon_vma lock: who walks an rmap holds the lock of the folio, too. A folio in the
swap cache needs no change, for folios do not know where they are mapped here.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import note, restart
from refault.linux.asm.tlb import flush_tlb_mm_range
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import PageAnonExclusive, folio_get, folio_of, folio_put
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    Pte,
    PteKind,
    mk_pte,
    pte_same,
    ptep_clear_flush,
    ptep_get,
    ptep_get_and_clear,
    set_pte_at,
)
from refault.linux.include.uapi.errno import EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, ENOENT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, MoveMode
from refault.linux.mm.filemap import folio_lock, folio_trylock, folio_unlock
from refault.linux.mm.filemap import migration_entry_wait_on_locked as wait_on_locked
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.userfaultfd.changing import hold_mmap_changing, release_mmap_changing
from refault.linux.mm.userfaultfd.kind import vma_is_anonymous
from refault.linux.mm.userfaultfd.lock import uffd_move_lock, uffd_move_unlock, vma_bounds
from refault.linux.modelled import kernel_function

ACCESS = Vm.READ | Vm.WRITE | Vm.EXEC
"""``VM_ACCESS_FLAGS``."""


class Move(NamedTuple):
    """What ``move_pages()`` is asked to do."""

    dst: int
    src: int
    length: int = PAGE_SIZE
    mode: MoveMode = MoveMode.NONE

    def rest(self, done: int) -> Move:
        """What is left when ``done`` bytes have been moved."""
        return self._replace(dst=self.dst + done, src=self.src + done, length=self.length - done)


@kernel_function("mm/userfaultfd.c", quiet=True)
def move_pages(ctx: UserfaultfdCtx, ask: Move) -> int:
    """Move a range; returns the bytes moved if there are any, or -errno."""
    vmas = uffd_move_lock(ctx.mm, ask.dst, ask.src)
    if isinstance(vmas, int):
        return vmas
    hold_mmap_changing(ctx)
    err = -EAGAIN if ctx.mmap_changing.read() else validate_move_areas(ctx, *vmas, ask)
    moved = 0
    if not err:
        moved, err = move_pages_loop(ctx.mm, ask)
    release_mmap_changing(ctx)
    uffd_move_unlock(*vmas)
    return moved or err


@kernel_function("mm/userfaultfd.c", quiet=True)
def move_pages_loop(mm: MmStruct, ask: Move) -> tuple[int, int]:
    """Move page after page, and try again where one was changing; the bytes moved, and -errno.

    ``err`` is kept from one round to the next and written on failure only. So a page that is
    moved at the second attempt is taken for one that was not: the next round finds it there.
    """
    moved = err = 0
    while moved < ask.length:
        restart(moved, err)
        ret = move_pages_ptes(mm, ask.rest(moved))
        if ret < 0:
            err = ret
        if err == -EAGAIN:
            continue
        if err:
            break
        moved += ret
    return moved, err


@kernel_function("mm/userfaultfd.c", quiet=True)
def validate_move_areas(ctx: UserfaultfdCtx, dst_vma: VmArea, src_vma: VmArea, ask: Move) -> int:
    """Look whether a page of the one mapping may be one of the other; 0 or -errno.

    Unlike with COPY the destination must be registered with the caller's userfaultfd.
    """
    dst_flags, src_flags = dst_vma.vm_flags.read(), src_vma.vm_flags.read()
    if (dst_flags | src_flags) & Vm.SHARED:
        return -EINVAL
    if ask.src + ask.length > vma_bounds(src_vma)[1]:
        return -EINVAL
    if ask.dst + ask.length > vma_bounds(dst_vma)[1]:
        return -EINVAL
    if dst_flags & ACCESS != src_flags & ACCESS or not src_flags & Vm.WRITE:
        return -EINVAL
    if dst_vma.ctx is not ctx:
        return -EINVAL
    return 0 if vma_is_anonymous(src_vma) and vma_is_anonymous(dst_vma) else -EINVAL


@kernel_function("mm/userfaultfd.c")
def move_pages_ptes(mm: MmStruct, ask: Move) -> int:
    """Move the first page, and those behind it that can be moved at once; bytes, or -errno."""
    range = MmuNotifierRange(mm, ask.src, ask.src + PAGE_SIZE, MmuNotifyEvent.CLEAR)
    mmu_notifier_invalidate_range_start(range)
    ret = _move_ptes(mm, ask)
    mmu_notifier_invalidate_range_end(range)
    return ret


def _move_ptes(mm: MmStruct, ask: Move) -> int:
    folio, locked_for = 0, Pte()
    while True:
        restart(folio, locked_for)
        dst_pte, src_pte = _look(mm, ask.dst), _look(mm, ask.src)
        ret = _refused(dst_pte, src_pte, ask.mode)
        if ret or (folio and not pte_same(locked_for, src_pte)):
            ret = ret or -EAGAIN
            break
        if not src_pte.present:
            ret = _move_entry(mm, ask, dst_pte, src_pte)
            break
        if src_pte.pfn == ZERO_PFN:
            ret = move_zeropage_pte(mm, ask, dst_pte, src_pte)
            break
        if not folio:
            ret, folio, waited = lock_src_folio(mm, ask.src, src_pte)
            if ret:
                break
            locked_for = src_pte
            if waited:
                continue
        ret = move_present_ptes(mm, ask, dst_pte, src_pte, folio)
        break
    if folio:
        folio_unlock(folio)
        folio_put(folio)
    return ret


def _look(mm: MmStruct, address: int) -> Pte:
    """Read a PTE under its lock, for a decision that is checked again later."""
    if not pte_offset_map_lock(mm):
        return Pte()
    pte = ptep_get(mm.pte(address))
    pte_unmap_unlock(mm)
    return pte


def _refused(dst_pte: Pte, src_pte: Pte, mode: MoveMode) -> int:
    if not dst_pte.none:
        return -EEXIST
    if src_pte.none:
        return PAGE_SIZE if mode & MoveMode.ALLOW_SRC_HOLES else -ENOENT
    return 0


@kernel_function("mm/userfaultfd.c", quiet=True)
def lock_src_folio(mm: MmStruct, src: int, src_pte: Pte) -> tuple[int, int, bool]:
    """Lock the folio of the source, which must be exclusive; -errno, folio, and if it waited.

    Waiting is not possible with the page tables mapped, so a folio that is locked is waited for
    with a reference, and everything is looked at again.
    """
    if not pte_offset_map_lock(mm):
        return -EAGAIN, 0, False
    if not pte_same(ptep_get(mm.pte(src)), src_pte):
        pte_unmap_unlock(mm)
        return -EAGAIN, 0, False
    pfn = src_pte.pfn
    if not PageAnonExclusive(pfn):
        pte_unmap_unlock(mm)
        return -EBUSY, 0, False
    locked = folio_trylock(pfn)
    folio_get(pfn)
    pte_unmap_unlock(mm)
    if not locked:
        folio_lock(pfn)
    return 0, pfn, not locked


def is_pte_pages_stable(mm: MmStruct, ask: Move, dst_pte: Pte, src_pte: Pte) -> bool:
    """Tell whether both are as they were; takes the page-table lock if so."""
    if not pte_offset_map_lock(mm):
        return False
    if pte_same(ptep_get(mm.pte(ask.src)), src_pte) and pte_same(
        ptep_get(mm.pte(ask.dst)), dst_pte
    ):
        return True
    pte_unmap_unlock(mm)
    return False


@kernel_function("mm/userfaultfd.c")
def move_present_ptes(mm: MmStruct, ask: Move, dst_pte: Pte, src_pte: Pte, folio: int) -> int:
    """Move a page whose folio is locked, and more in the same breath; bytes, or -errno.

    The old places are flushed once, when all pages are at the new ones.
    """
    if not is_pte_pages_stable(mm, ask, dst_pte, src_pte):
        return -EAGAIN
    if folio_maybe_dma_pinned(folio) or not PageAnonExclusive(folio):
        pte_unmap_unlock(mm)
        return -EBUSY
    done, pfn = 0, folio
    while pfn:
        step = ask.rest(done)
        old = ptep_get_and_clear(mm.pte(step.src))
        note("source PTE is clear")
        if folio_maybe_dma_pinned(pfn):
            set_pte_at(mm.pte(step.src), old)
            note("pinned meanwhile: put back")
            if pfn != folio:
                folio_unlock(pfn)
            break
        set_pte_at(mm.pte(step.dst), mk_pte(pfn, write=True, dirty=old.dirty))
        done += PAGE_SIZE
        if pfn != folio:
            folio_unlock(pfn)
        pfn = check_ptes_for_batched_move(mm, ask.rest(done)) if done < ask.length else 0
    if done:
        flush_tlb_mm_range(mm, ask.src, ask.src + done)
    pte_unmap_unlock(mm)
    return done or -EBUSY


@kernel_function("include/linux/mm.h", quiet=True)
def folio_maybe_dma_pinned(pfn: int) -> bool:
    """Tell whether somebody may be doing I/O to the page, by way of ``pin_user_pages_fast()``."""
    return folio_of(pfn).pins > 0


@kernel_function("mm/userfaultfd.c", quiet=True)
def check_ptes_for_batched_move(mm: MmStruct, ask: Move) -> int:
    """Lock the folio of the next page if it can be moved without waiting; 0 if not."""
    dst_pte, src_pte = ptep_get(mm.pte(ask.dst)), ptep_get(mm.pte(ask.src))
    if not dst_pte.none or not src_pte.present or src_pte.pfn == ZERO_PFN:
        return 0
    if not folio_trylock(src_pte.pfn):
        return 0
    if PageAnonExclusive(src_pte.pfn):
        return src_pte.pfn
    folio_unlock(src_pte.pfn)
    return 0


@kernel_function("mm/userfaultfd.c")
def move_zeropage_pte(mm: MmStruct, ask: Move, dst_pte: Pte, src_pte: Pte) -> int:
    """Move a mapping of the zero page; bytes, or -errno."""
    if not is_pte_pages_stable(mm, ask, dst_pte, src_pte):
        return -EAGAIN
    ptep_clear_flush(mm.pte(ask.src))
    set_pte_at(mm.pte(ask.dst), mk_pte(ZERO_PFN))
    pte_unmap_unlock(mm)
    return PAGE_SIZE


def _move_entry(mm: MmStruct, ask: Move, dst_pte: Pte, src_pte: Pte) -> int:
    """Move what is not present, or wait for the end of a migration; bytes, or -errno."""
    if src_pte.kind is PteKind.MIGRATION:
        wait_on_locked(src_pte.pfn)
        return -EAGAIN
    if src_pte.kind is not PteKind.SWAP:
        return -EFAULT
    return move_swap_pte(mm, ask, dst_pte, src_pte) if src_pte.exclusive else -EBUSY


@kernel_function("mm/userfaultfd.c")
def move_swap_pte(mm: MmStruct, ask: Move, dst_pte: Pte, src_pte: Pte) -> int:
    """Move a swap entry that nobody shares; bytes, or -errno."""
    if not is_pte_pages_stable(mm, ask, dst_pte, src_pte):
        return -EAGAIN
    set_pte_at(mm.pte(ask.dst), ptep_get_and_clear(mm.pte(ask.src)))
    pte_unmap_unlock(mm)
    return PAGE_SIZE
