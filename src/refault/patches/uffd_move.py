"""UFFDIO_MOVE, before it moved pages in batches and after."""

from __future__ import annotations

from refault.explore import note, restart
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import PageAnonExclusive
from refault.linux.include.linux.pgtable import Pte, mk_pte, ptep_clear_flush, set_pte_at
from refault.linux.include.uapi.errno import EAGAIN, EBUSY
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.pgtable_generic import pte_unmap_unlock
from refault.linux.mm.userfaultfd.move import (
    Move,
    folio_maybe_dma_pinned,
    is_pte_pages_stable,
    move_pages_ptes,
)
from refault.patches.patch import Patch


def _move_with_a_fresh_error(mm: MmStruct, ask: Move) -> tuple[int, int]:
    moved = err = 0
    while moved < ask.length:
        restart(moved)
        ret = move_pages_ptes(mm, ask.rest(moved))
        err = min(ret, 0)
        if err == -EAGAIN:
            continue
        if err:
            break
        moved += ret
    return moved, err


def _move_one(mm: MmStruct, ask: Move, dst_pte: Pte, src_pte: Pte, folio: int) -> int:
    if not is_pte_pages_stable(mm, ask, dst_pte, src_pte):
        return -EAGAIN
    done = 0
    if not folio_maybe_dma_pinned(folio) and PageAnonExclusive(folio):
        old = ptep_clear_flush(mm.pte(ask.src))
        note("source PTE is clear")
        if folio_maybe_dma_pinned(folio):
            set_pte_at(mm.pte(ask.src), old)
        else:
            set_pte_at(mm.pte(ask.dst), mk_pte(folio, write=True, dirty=old.dirty))
            done = PAGE_SIZE
    pte_unmap_unlock(mm)
    return done or -EBUSY


move_batch = Patch(
    name="move_batch",
    title="userfaultfd: opportunistic TLB-flush batching for present pages in MOVE",
    kind="fix",
    commit="50944692052b",
    since="6.18",
    source="Lokesh Gidra, 2025; before it each page was flushed when its PTE was made none",
    replaces={"move_pages_loop": _move_with_a_fresh_error, "move_present_ptes": _move_one},
)

move_err_reset = Patch(
    name="move_err_reset",
    title="userfaultfd: do not take a page for unmoved that was moved at the second attempt",
    kind="proposal",
    source="follows from the stories of UFFDIO_MOVE in the catalogue",
    replaces={"move_pages_loop": _move_with_a_fresh_error},
    over=("move_batch",),
)
