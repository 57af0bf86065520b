"""GUP without locks (``mm/gup.c``: ``gup_fast()``).

Interrupts are off, which keeps page tables from being freed, and nothing else. So a reference is
tried first and the PTE looked at again afterwards: if it is still the same, the page was mapped
while the reference was held. A pin must also not come in between fork's look at the pins and its
making the PTE read-only; ``write_protect_seq`` tells.
"""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct, Pmd
from refault.linux.include.linux.page import (
    PageAnonExclusive,
    change_folio,
    folio_of,
    folio_put,
    folio_try_get,
)
from refault.linux.include.linux.pgtable import ZERO_PFN, Pte, ptep_get
from refault.linux.include.linux.seqlock import raw_read_seqcount, read_seqcount_retry
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.gup.pages import Pages, __get_user_pages_locked, unpin_user_page
from refault.linux.modelled import kernel_function


@kernel_function("mm/gup.c", label="gup_fast_pte_range")
def gup_fast_pte_range(mm: MmStruct, address: int, foll: Foll) -> int:
    """Grab the page of an address if that needs no fault; its frame, or -1 to do it slowly."""
    if mm.pmd.read() is not Pmd.TABLE:
        return -1
    pte = ptep_get(mm.pte(address))
    if not _fit(pte, foll):
        return -1
    pfn = try_grab_folio_fast(pte.pfn, foll)
    if pfn < 0:
        return -1
    if mm.pmd.read() is not Pmd.TABLE or ptep_get(mm.pte(address)) != pte:
        gup_put_folio(pfn, foll)
        return -1
    if gup_must_unshare_fast(pte, foll):
        gup_put_folio(pfn, foll)
        return -1
    return pfn


def _fit(pte: Pte, foll: Foll) -> bool:
    if not pte.present or pte.protnone or pte.pfn == ZERO_PFN:
        return False
    return pte.write or not foll & Foll.WRITE


@kernel_function("mm/gup.c", quiet=True)
def gup_must_unshare_fast(pte: Pte, foll: Foll) -> bool:
    """Tell whether a page that is read only would have to be unshared before it is pinned."""
    if foll & Foll.WRITE or not foll & Foll.PIN or folio_of(pte.pfn).mapping is not None:
        return False
    return not PageAnonExclusive(pte.pfn)


@kernel_function("mm/gup.c", quiet=True)
def try_grab_folio_fast(pfn: int, foll: Foll) -> int:
    """Take a reference, or a pin, of a page that may be free by now; -1 if it is."""
    if not folio_try_get(pfn):
        return -1
    if foll & Foll.PIN:
        change_folio(pfn, pins=folio_of(pfn).pins + 1)
    return pfn


@kernel_function("mm/gup.c", quiet=True)
def gup_put_folio(pfn: int, foll: Foll) -> None:
    """Give back what was grabbed in vain."""
    if foll & Foll.PIN:
        unpin_user_page(pfn)
    else:
        folio_put(pfn)


@kernel_function("mm/gup.c", quiet=True)
def gup_fast(mm: MmStruct, start: int, number: int, foll: Foll) -> tuple[int, ...]:
    """Return the frames of as many pages as can be had at once, from the first on."""
    if foll & Foll.PIN and not raw_read_seqcount(mm.write_protect_seq):
        return ()
    got: tuple[int, ...] = ()
    for page in range(number):
        pfn = gup_fast_pte_range(mm, start + page * PAGE_SIZE, foll)
        if pfn < 0:
            break
        got = (*got, pfn)
    if foll & Foll.PIN and read_seqcount_retry(mm.write_protect_seq):
        for pfn in got:
            unpin_user_page(pfn)
        return ()
    return got


@kernel_function("mm/gup.c", quiet=True)
def gup_fast_fallback(mm: MmStruct, start: int, number: int, foll: Foll) -> Pages:
    """Get pages without locks, and the rest with them; ``start`` may be inside the first."""
    start &= ~(PAGE_SIZE - 1)
    got = gup_fast(mm, start, number, foll)
    left = number - len(got)
    if not left:
        return Pages(number, got, locked=False)
    if foll & Foll.FAST_ONLY:
        return Pages(len(got), got, locked=False)
    slow = foll | Foll.TOUCH | Foll.UNLOCKABLE
    rest = __get_user_pages_locked(mm, start + len(got) * PAGE_SIZE, left, slow, locked=False)
    if rest.ret < 0:
        return Pages(len(got) or rest.ret, got, locked=False)
    return Pages(len(got) + rest.ret, (*got, *rest.pfns), locked=False)


@kernel_function("mm/gup.c", label="get_user_pages_fast")
def get_user_pages_fast(mm: MmStruct, start: int, number: int, foll: Foll) -> Pages:
    """Get pages of this process."""
    return gup_fast_fallback(mm, start, number, foll | Foll.GET)


@kernel_function("mm/gup.c", label="get_user_pages_fast_only")
def get_user_pages_fast_only(mm: MmStruct, start: int, number: int, foll: Foll) -> Pages:
    """Get pages of this process only if they are there: it does not sleep."""
    return gup_fast_fallback(mm, start, number, foll | Foll.GET | Foll.FAST_ONLY)


@kernel_function("mm/gup.c", label="pin_user_pages_fast")
def pin_user_pages_fast(mm: MmStruct, start: int, number: int, foll: Foll) -> Pages:
    """Pin pages of this process, for what reads and writes them by their frames."""
    return gup_fast_fallback(mm, start, number, foll | Foll.PIN)
