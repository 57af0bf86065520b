"""What the hardware does at a load or a store: translate, and use the page, or fault.

By a walk of the page table, which sets the accessed and the dirty bit and fills the TLB, if there
are any; or by an entry of the TLB of this CPU, which may be older than the page table. Either is
one step with the access itself: a flush waits for the instruction that is under way.
"""

from __future__ import annotations

from refault.explore import Violation, atomic, choose, note
from refault.linux.asm.tlb import TlbEntry, tlb_fill, tlb_lookup
from refault.linux.include.linux.mm_types import HugePmd, MmStruct, Pmd
from refault.linux.include.linux.page import frame
from refault.linux.include.linux.pgtable import ZERO_PFN, Pte, PteKind
from refault.linux.modelled import current_kernel


def _translate(pte: Pte, write: bool) -> tuple[Pte, Pte | None]:
    """What the page walk does to a PTE: set young and dirty, or fault."""
    if not pte.present or pte.protnone or (write and not pte.write):
        return pte, None
    used = pte._replace(young=True, dirty=pte.dirty or write)
    return used, used


def _translate_huge(pmd: Pmd | HugePmd, write: bool) -> tuple[Pmd | HugePmd, Pte | None]:
    if not isinstance(pmd, HugePmd) or pmd.protnone or (write and not pmd.write):
        return pmd, None
    used = pmd._replace(dirty=pmd.dirty or write)
    return used, Pte(PteKind.PRESENT, pmd.pfn, write=used.write, dirty=used.dirty, young=True)


def walk(mm: MmStruct, address: int, write: bool) -> int | None:
    """Walk the page table; returns the frame, or None for a fault. Part of one step."""
    pmd = mm.pmd.read()
    if pmd is Pmd.NONE or address not in mm.ptes:
        return None
    if isinstance(pmd, HugePmd):
        pte = mm.pmd.update(_translate_huge, write)
    else:
        pte = mm.pte(address).update(_translate, write)
    if pte is None:
        return None
    tlb_fill(mm, address, pte)
    return pte.pfn


def _hit(mm: MmStruct, address: int, write: bool) -> bool:
    """Whether the TLB is used: an entry may have fallen out, just before this instruction."""
    if current_kernel().tlb is None or tlb_lookup(mm, address, write) is None:
        return False
    return choose("TLB hit", "TLB miss") == "TLB hit"


def _frame(mm: MmStruct, address: int, write: bool, hit: bool) -> int | None:
    entry = tlb_lookup(mm, address, write) if hit else None
    return walk(mm, address, write) if entry is None else _checked(entry)


def _checked(entry: TlbEntry) -> int:
    if entry.pfn != ZERO_PFN and frame(entry.pfn).folio.read() is None:
        raise Violation("use after free", f"a TLB still maps pfn {entry.pfn}, which is free")
    return entry.pfn


def hardware_store(mm: MmStruct, address: int, value: int) -> bool:
    """Store, or return False for a fault."""
    hit = _hit(mm, address, True)
    with atomic():
        pfn = _frame(mm, address, True, hit)
        if pfn is not None:
            frame(pfn).data.write(value)
    if hit and pfn is not None:
        note("by its TLB")
    return pfn is not None


def _plus(old: int, by: int) -> tuple[int, None]:
    return old + by, None


def hardware_add(mm: MmStruct, address: int, by: int) -> bool:
    """Add to memory in one instruction, or return False for a fault."""
    hit = _hit(mm, address, True)
    with atomic():
        pfn = _frame(mm, address, True, hit)
        if pfn is not None:
            frame(pfn).data.update(_plus, by)
    if hit and pfn is not None:
        note("by its TLB")
    return pfn is not None


def hardware_load(mm: MmStruct, address: int) -> int | None:
    """Load, or return None for a fault."""
    hit = _hit(mm, address, False)
    value: int | None = None
    with atomic():
        pfn = _frame(mm, address, False, hit)
        if pfn is not None:
            value = 0 if pfn == ZERO_PFN else frame(pfn).data.read()
    if hit and pfn is not None:
        note("by its TLB")
    return value
