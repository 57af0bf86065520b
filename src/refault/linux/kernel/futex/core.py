"""What a futex is known by (``kernel/futex/core.c``)."""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import folio_of
from refault.linux.include.linux.pgtable import ZERO_PFN
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.mm.gup.fast import get_user_pages_fast
from refault.linux.mm.gup.pages import put_page
from refault.linux.modelled import kernel_function


@kernel_function("kernel/futex/core.c", label="get_futex_key")
def get_futex_key(mm: MmStruct, address: int, *, write: bool) -> int:
    """Find the key of a shared word, by its page; 0 or -errno.

    The page is asked for as for a write; a call that does not ``write`` to the word makes do with
    one that can be read, if that is of a file: no futex can be in memory that never changes.
    """
    found = get_user_pages_fast(mm, address, 1, Foll.WRITE)
    if found.ret == -EFAULT and not write:
        found = get_user_pages_fast(mm, address, 1, Foll.NONE)
        if found.pfns and _is_anonymous(found.pfns[0]):
            found = found._replace(ret=-EFAULT)
    for pfn in found.pfns:
        put_page(pfn)
    return min(found.ret, 0)


def _is_anonymous(pfn: int) -> bool:
    """Tell whether a page is of no file, as the zero page is."""
    return pfn == ZERO_PFN or folio_of(pfn).mapping is None
