"""Translation caches (``arch/x86/mm/tlb.c``), for stories that ask for them.

Each CPU has a TLB. A walk of the page table fills it, accesses go through it, and it knows nothing
of what becomes of the PTE: only a flush takes an entry away, one CPU after the other
(``flush_tlb_page()`` sends interrupts and waits for them). An entry may also fall out by itself at
any time. A store needs an entry of a PTE that is writable and dirty; else the hardware walks again
to set the bit.

What must hold, and is looked at in each story that has TLBs: a frame is not freed while a TLB still
translates to it. An access through an entry of a frame that is free is a use after free.

TLBs multiply the states, so there are none unless the story calls ``k.tlbs()``. Without them each
access walks, and a flush is no step. Not modelled: fills by speculation (a story can load first),
caches of the upper levels, lazy TLB mode, address space ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from refault.explore import Violation, note
from refault.linux.modelled import current, current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.include.linux.mm_types import MmStruct
    from refault.linux.include.linux.pgtable import Pte


class TlbEntry(NamedTuple):
    """A cached translation; ``write`` if it was writable and dirty, so that a store may use it."""

    mm: str
    address: int
    pfn: int
    write: bool

    def __repr__(self) -> str:
        return f"{self.address:#x} -> pfn {self.pfn} {'rw' if self.write else 'r'}"


Tlb = tuple[TlbEntry, ...]


class Tlbs:
    """The TLBs of all CPUs, and what the mms know of flushes that are still to come.

    ``pending`` is ``mm->tlb_flush_pending``: how many have changed PTEs and not flushed yet.
    ``batched`` is ``mm->tlb_flush_batched``: reclaim has cleared PTEs and left the flush for later.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.cpus: dict[int, Cell[Tlb]] = {}
        self.pending: dict[str, Cell[int]] = {}
        self.batched: dict[str, Cell[bool]] = {}

    def add_cpu(self, cpu: int) -> None:
        """Give a CPU its TLB."""
        if cpu not in self.cpus:
            self.cpus[cpu] = self.program.cell(f"tlb of cpu{cpu}", ())

    def add_mm(self, mm: MmStruct) -> None:
        """Let flushes of an mm be counted."""
        self.pending[mm.name] = self.program.cell(f"{mm.prefix}tlb_flush_pending", 0)
        self.batched[mm.name] = self.program.cell(f"{mm.prefix}tlb_flush_batched", False)


def _fill(tlb: Tlb, entry: TlbEntry) -> tuple[Tlb, None]:
    rest = [e for e in tlb if (e.mm, e.address) != (entry.mm, entry.address)]
    return tuple(sorted([*rest, entry])), None


def _drop(tlb: Tlb, mm: str, start: int, end: int) -> tuple[Tlb, None]:
    return tuple(e for e in tlb if e.mm != mm or not start <= e.address < end), None


def _entry(tlb: Tlb, mm: str, address: int) -> TlbEntry | None:
    return next((e for e in tlb if (e.mm, e.address) == (mm, address)), None)


def _maps(tlb: Tlb, pfn: int) -> Any:
    return any(e.pfn == pfn for e in tlb)


def tlb_lookup(mm: MmStruct, address: int, write: bool) -> TlbEntry | None:
    """Return the entry with which this CPU would translate the access without a walk, or None."""
    tlbs = current_kernel().tlb
    if tlbs is None:
        return None
    entry = tlbs.cpus[current().cpu].peek(_entry, mm.name, address)
    return entry if entry is not None and (entry.write or not write) else None


def tlb_fill(mm: MmStruct, address: int, pte: Pte) -> None:
    """Keep what a walk has found."""
    tlbs = current_kernel().tlb
    if tlbs is not None:
        entry = TlbEntry(mm.name, address, pte.pfn, pte.write and pte.dirty)
        tlbs.cpus[current().cpu].update(_fill, entry)


def check_no_stale_entry(pfn: int) -> None:
    """A frame becomes free: no CPU may be able to reach it any more."""
    tlbs = current_kernel().tlb
    for cpu, tlb in tlbs.cpus.items() if tlbs else ():
        if tlb.peek(_maps, pfn):
            raise Violation(
                "use after free", f"pfn {pfn} is freed while the TLB of cpu{cpu} maps it"
            )


def flush_tlb_of(ptep: Cell[Pte]) -> None:
    """Flush the page that this PTE maps."""
    kernel = current_kernel()
    if kernel.tlb is None:
        return
    for mm in kernel.mms:
        for address, cell in mm.ptes.items():
            if cell is ptep:
                flush_tlb_page(mm, address)


@kernel_function("arch/x86/include/asm/tlbflush.h", quiet=True)
def flush_tlb_page(mm: MmStruct, address: int) -> None:
    """Take one page's entry from each TLB; waits until all CPUs have done so."""
    flush_tlb_mm_range(mm, address, address + 1)


@kernel_function("arch/x86/mm/tlb.c", quiet=True)
def flush_tlb_mm_range(mm: MmStruct, start: int, end: int) -> None:
    """Take the entries of a range from each TLB, one CPU after the other."""
    tlbs = current_kernel().tlb
    if tlbs is None:
        return
    for tlb in tlbs.cpus.values():
        tlb.update(_drop, mm.name, start, end)
    note("TLBs are flushed")


@kernel_function("arch/x86/include/asm/tlbflush.h", quiet=True)
def flush_tlb_mm(mm: MmStruct) -> None:
    """Take all entries of an address space from each TLB."""
    flush_tlb_mm_range(mm, 0, 1 << 63)


def _add(count: int, by: int) -> tuple[int, None]:
    if count + by < 0:
        raise Violation("BUG", "tlb_flush_pending runs below zero")
    return count + by, None


@kernel_function("include/linux/mm_types.h", quiet=True)
def inc_tlb_flush_pending(mm: MmStruct) -> None:
    """Say that PTEs are about to change whose flush will come later."""
    tlbs = current_kernel().tlb
    if tlbs is not None:
        tlbs.pending[mm.name].update(_add, 1)


@kernel_function("include/linux/mm_types.h", quiet=True)
def dec_tlb_flush_pending(mm: MmStruct) -> None:
    """Say that the flush has been done."""
    tlbs = current_kernel().tlb
    if tlbs is not None:
        tlbs.pending[mm.name].update(_add, -1)


def _more_than(count: int, least: int) -> bool:
    return count > least


@kernel_function("include/linux/mm_types.h", quiet=True)
def mm_tlb_flush_pending(mm: MmStruct) -> bool:
    """Tell whether somebody has changed PTEs and not flushed yet."""
    tlbs = current_kernel().tlb
    return tlbs is not None and tlbs.pending[mm.name].peek(_more_than, 0)


@kernel_function("include/linux/mm_types.h", quiet=True)
def mm_tlb_flush_nested(mm: MmStruct) -> bool:
    """Tell whether somebody else besides the caller is about to flush."""
    tlbs = current_kernel().tlb
    return tlbs is not None and tlbs.pending[mm.name].peek(_more_than, 1)


@kernel_function("mm/rmap.c", quiet=True)
def set_tlb_ubc_flush_pending(mm: MmStruct) -> None:
    """Reclaim leaves the flush of a PTE that it has cleared for later."""
    tlbs = current_kernel().tlb
    if tlbs is not None:
        tlbs.batched[mm.name].write(True)


@kernel_function("mm/rmap.c", quiet=True)
def try_to_unmap_flush(mm: MmStruct) -> None:
    """Do the flush that reclaim has put off."""
    if current_kernel().tlb is not None:
        flush_tlb_mm(mm)


@kernel_function("mm/rmap.c", quiet=True)
def flush_tlb_batched_pending(mm: MmStruct) -> None:
    """Do the flush that reclaim may have put off, for an operation that relies on its absence.

    The caller holds the page-table lock, under which reclaim says that it puts one off.
    """
    tlbs = current_kernel().tlb
    if tlbs is not None and tlbs.batched[mm.name].read():
        flush_tlb_mm(mm)
        tlbs.batched[mm.name].write(False)
