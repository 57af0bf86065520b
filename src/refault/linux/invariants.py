"""What page tables and frames never look like, whoever changes them.

A story that calls ``k.check_page_tables()`` has all of this looked at in every state. It holds
whenever nobody has the page-table lock: under it a page may be in the middle of a change, and only
the hardware and lockless readers see that.

* A PTE that userfaultfd has write-protected is not writable.
* A private page that is writable belongs to that mapping alone.
* What is mapped is in use, and at least as often as there are PTEs for it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from refault.linux.include.linux.pgtable import ZERO_PFN

if TYPE_CHECKING:
    from refault.explore import View
    from refault.linux.include.linux.page import Folio
    from refault.linux.include.linux.pgtable import Pte
    from refault.linux.machine import Kernel


def page_tables(kernel: Kernel, view: View) -> str | None:
    """Say what is wrong with the page tables in a state; None if nothing is."""
    if any(view[mm.ptl.owner] for mm in kernel.mms):
        return None
    mapped: Counter[int] = Counter()
    for mm in kernel.mms:
        for address, cell in mm.ptes.items():
            pte = view[cell]
            if not pte.present or pte.pfn == ZERO_PFN:
                continue
            mapped[pte.pfn] += 1
            wrong = _wrong(pte, view[kernel.frames[pte.pfn].folio])
            if wrong:
                return f"{mm} maps {address:#x} {wrong}: {pte}"
    return _miscounted(kernel, view, mapped)


def _wrong(pte: Pte, folio: Folio | None) -> str | None:
    if folio is None:
        return "to a frame that is free"
    if pte.write and pte.uffd_wp:
        return "writable though it is write-protected"
    if pte.write and folio.mapping is None and not folio.exclusive:
        return "writable though it is not exclusive"
    return None


def _miscounted(kernel: Kernel, view: View, mapped: Counter[int]) -> str | None:
    for pfn, times in sorted(mapped.items()):
        folio = view[kernel.frames[pfn].folio]
        if folio is not None and folio.mapcount < times:
            return f"pfn {pfn} is mapped {times} times and counts {folio.mapcount}"
    return None
