"""PTE values and the accessors that change them (``include/linux/pgtable.h``).

A PTE is a value in a cell, so that each read and each write of it is a step of its own. Writers
hold the page-table lock; ``userfaultfd_must_wait()``, the hardware and the first look of
``handle_pte_fault()`` read without it, and see each value in between: ``ptep_clear_flush()`` and
``ptep_modify_prot_start()`` leave none behind until the next write.

The hardware walks the page table at each access unless the story asks for TLBs (``asm/tlb``); then
``ptep_clear_flush()`` is as many steps more as there are CPUs.
"""

from __future__ import annotations

from enum import Enum, IntFlag
from typing import TYPE_CHECKING, NamedTuple

from refault.explore import choose
from refault.linux.asm.tlb import flush_tlb_of
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell

ZERO_PFN = 0
"""The frame number of the shared zero page."""


class PteKind(Enum):
    """What a PTE is."""

    NONE = "PTE is none"
    PRESENT = "PTE is present"
    MIGRATION = "PTE is a migration entry"
    SWAP = "PTE is a swap entry"
    MARKER = "PTE is a marker"
    HWPOISON = "PTE is a poisoned page"
    DEVICE = "PTE is a page of a device"


class PteMarker(IntFlag):
    """``PTE_MARKER_*``: what an entry without a page says of its place."""

    NONE = 0
    UFFD_WP = 1
    POISONED = 2
    GUARD = 4


class Pte(NamedTuple):
    """A PTE; ``pfn`` is the frame, the slot of a swap entry, or the bits of a marker.

    ``exclusive`` is the bit of swap and migration entries that carries PageAnonExclusive.
    """

    kind: PteKind = PteKind.NONE
    pfn: int = -1
    write: bool = False
    dirty: bool = False
    young: bool = False
    uffd_wp: bool = False
    protnone: bool = False
    exclusive: bool = False

    @property
    def present(self) -> bool:
        """``pte_present()``, also true of a protnone entry."""
        return self.kind is PteKind.PRESENT

    @property
    def none(self) -> bool:
        """``pte_none()``."""
        return self.kind is PteKind.NONE

    @property
    def marker(self) -> PteMarker:
        """The bits of a marker; none if it is something else."""
        return PteMarker(self.pfn) if self.kind is PteKind.MARKER else PteMarker.NONE

    @property
    def none_mostly(self) -> bool:
        """``pte_none_mostly()``: none, or a marker."""
        return self.kind in (PteKind.NONE, PteKind.MARKER)

    def __repr__(self) -> str:
        if self.none:
            return "none"
        if self.kind is PteKind.MARKER:
            return f"marker {self.marker.name}"
        what = "slot" if self.kind is PteKind.SWAP else "pfn"
        where = "zero page" if self.pfn == ZERO_PFN and self.present else f"{what} {self.pfn}"
        bits = [
            word
            for word, set_ in (
                ("write" if self.write else "ro", self.present or self.kind is PteKind.DEVICE),
                ("dirty", self.dirty),
                ("uffd_wp", self.uffd_wp),
                ("protnone", self.protnone),
            )
            if set_
        ]
        kind = self.kind.name.lower()
        return " ".join([kind, where, *bits])


NONE = Pte()


def make_pte_marker(marker: PteMarker) -> Pte:
    """Make a marker; one for write-protection has the bit that says so, as other entries have."""
    return Pte(PteKind.MARKER, int(marker), uffd_wp=bool(marker & PteMarker.UFFD_WP))


def mk_pte(
    pfn: int,
    *,
    write: bool = False,
    dirty: bool = False,
    uffd_wp: bool = False,
    protnone: bool = False,
) -> Pte:
    """Make a present PTE; write-protection by userfaultfd wins over ``write``."""
    write = write and not uffd_wp
    return Pte(
        PteKind.PRESENT,
        pfn,
        write=write,
        dirty=dirty,
        young=True,
        uffd_wp=uffd_wp,
        protnone=protnone,
    )


def pte_same(a: Pte, b: Pte) -> bool:
    """Compare two PTEs, bit by bit."""
    return a == b


@kernel_function("include/linux/pgtable.h", quiet=True)
def ptep_get(ptep: Cell[Pte]) -> Pte:
    """Read a PTE."""
    return ptep.read()


@kernel_function("include/linux/pgtable.h")
def set_pte_at(ptep: Cell[Pte], pte: Pte) -> None:
    """Write a PTE."""
    ptep.write(pte)


def _clear(old: Pte) -> tuple[Pte, Pte]:
    return NONE, old


@kernel_function("mm/pgtable-generic.c")
def ptep_clear_flush(ptep: Cell[Pte]) -> Pte:
    """Make the PTE none, flush, and return what it was."""
    old = ptep.update(_clear)
    flush_tlb_of(ptep)
    return old


@kernel_function("include/linux/pgtable.h")
def ptep_get_and_clear(ptep: Cell[Pte]) -> Pte:
    """Make the PTE none and return what it was."""
    return ptep.update(_clear)


@kernel_function("include/linux/pgtable.h")
def ptep_modify_prot_start(ptep: Cell[Pte]) -> Pte:
    """Make the PTE none, so that the hardware sets no bit in it, and return what it was.

    That is what x86, arm64 and the generic code do; powerpc and s390 keep it from being none.
    """
    return ptep.update(_clear)


@kernel_function("include/linux/pgtable.h")
def ptep_modify_prot_commit(ptep: Cell[Pte], pte: Pte) -> None:
    """Write the PTE with its new protection."""
    ptep.write(pte)


def _wrprotect(old: Pte) -> tuple[Pte, None]:
    return old._replace(write=False), None


@kernel_function("include/linux/pgtable.h")
def ptep_set_wrprotect(ptep: Cell[Pte]) -> None:
    """Make the PTE read-only in one write, keeping what the hardware sets meanwhile."""
    ptep.update(_wrprotect)


def _set_access_flags(old: Pte, entry: Pte) -> tuple[Pte, bool]:
    new = entry._replace(young=True, dirty=entry.dirty or old.dirty)
    return new, new != old


@kernel_function("mm/pgtable-generic.c", quiet=True)
def ptep_set_access_flags(ptep: Cell[Pte], entry: Pte) -> bool:
    """Widen access in one write, never through none; tell whether anything changed."""
    return ptep.update(_set_access_flags, entry)


def pte_write(pte: Pte) -> bool:
    """Return the write bit of a PTE, of whatever kind.

    In a swap or migration entry that bit means something else (on x86 soft-dirty, elsewhere part
    of the type or offset), so the model tries both.
    """
    if pte.present or pte.none:
        return pte.write
    return choose(True, False)
