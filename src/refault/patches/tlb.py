"""Flushes that were missing, or came too late."""

from __future__ import annotations

from refault.linux.asm.tlb import flush_tlb_mm_range
from refault.linux.include.linux.mm_types import MmStruct, VmFaultInfo
from refault.linux.include.linux.pgtable import Pte
from refault.linux.mm.pgtable_generic import pte_unmap_unlock
from refault.patches.patch import Patch


def _no_flush(vmf: VmFaultInfo) -> None:
    return None


wp_pending_flush = Patch(
    name="wp_pending_flush",
    title="mm/userfaultfd: fix memory corruption due to writeprotect",
    kind="fix",
    commit="6ce64428d620",
    since="5.12",
    source="Nadav Amit, 2021",
    replaces={"wp_flush_pending": _no_flush},
)


def _unlock_and_flush(mm: MmStruct, start: int, end: int) -> None:
    pte_unmap_unlock(mm)
    flush_tlb_mm_range(mm, start, end)


mremap_flush_locked = Patch(
    name="mremap_flush_locked",
    title="mremap: properly flush TLB before releasing the page",
    kind="fix",
    commit="eb66ae030829",
    since="4.19",
    source="Linus Torvalds, 2018",
    replaces={"flush_and_unlock": _unlock_and_flush},
)


def _always(old: Pte, new: Pte) -> bool:
    return True


mprotect_flushes_less = Patch(
    name="mprotect_flushes_less",
    title="mm/mprotect: do not flush when not required architecturally",
    kind="fix",
    commit="c9fe66560bf2",
    since="5.19",
    source="Nadav Amit, 2022; before it any PTE that was changed was flushed",
    replaces={"pte_needs_flush": _always},
)


def _nobody_pending(mm: MmStruct) -> None:
    return None


tlb_batched_pending = Patch(
    name="tlb_batched_pending",
    title="mm, mprotect: flush TLB if potentially racing with a parallel reclaim leaving stale TLB"
    " entries",
    kind="fix",
    commit="3ea277194daa",
    since="4.13",
    source="Mel Gorman, 2017",
    replaces={"flush_tlb_batched_pending": _nobody_pending},
)


def _alone(mm: MmStruct) -> bool:
    return False


tlb_flush_nested = Patch(
    name="tlb_flush_nested",
    title="mm: fix MADV_[FREE|DONTNEED] TLB flush miss problem",
    kind="fix",
    commit="99baac21e458",
    since="4.13",
    source="Minchan Kim, 2017",
    replaces={"mm_tlb_flush_nested": _alone},
)
