"""Unmapping now and flushing later (``mm/mmu_gather.c``).

Whoever takes PTEs away gathers what they mapped, flushes once, and only then gives the pages back.
From the first PTE to the flush ``tlb_flush_pending`` says that somebody is at it: PTEs may say less
than the TLBs still allow.
"""

from __future__ import annotations

from refault.linux.asm.tlb import (
    dec_tlb_flush_pending,
    flush_tlb_mm_range,
    inc_tlb_flush_pending,
    mm_tlb_flush_nested,
)
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import folio_put
from refault.linux.modelled import kernel_function


@kernel_function("mm/mmu_gather.c", quiet=True)
def tlb_gather_mmu(mm: MmStruct) -> None:
    """Begin; the caller holds what keeps the mappings from changing."""
    inc_tlb_flush_pending(mm)


@kernel_function("mm/mmu_gather.c", quiet=True)
def tlb_flush_mmu(mm: MmStruct, start: int, end: int, pages: tuple[int, ...]) -> None:
    """Flush what was taken away, then give the pages back."""
    flush_tlb_mm_range(mm, start, end)
    for pfn in pages:
        folio_put(pfn)


@kernel_function("mm/mmu_gather.c", quiet=True)
def tlb_finish_mmu(
    mm: MmStruct, start: int, end: int, *, cleared: bool, pages: tuple[int, ...] = ()
) -> None:
    """End: flush if anything was ``cleared``, or if somebody else is still about to flush.

    The other may have cleared PTEs of this range that the caller has found empty, and the caller
    is going to say that nothing is there any more.
    """
    if cleared or mm_tlb_flush_nested(mm):
        tlb_flush_mmu(mm, start, end, pages)
    dec_tlb_flush_pending(mm)
