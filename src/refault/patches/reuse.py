"""When a write fault may use the page where it is, and when it must copy it.

From 5.9 to 5.18 the rule was the reference count: one reference, that of the mapping. Anything
else that held one made the fault copy, and a page fresh from ``UFFDIO_COPY`` is held by an LRU
batch. Since 5.19 a page remembers that it is exclusive to its mapping.
"""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.linux.page import frame, live
from refault.linux.include.linux.pgtable import Pte
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.linux.mm.gup.follow import Follow
from refault.patches.patch import Patch


def _no_flag(pfn: int) -> bool:
    return False


def _set_no_flag(pfn: int, exclusive: bool) -> None:
    return None


def _never_unshared(vma: VmArea, pfn: int, foll: Foll) -> Follow | None:
    return None


def _never_unshared_fast(pte: Pte, foll: Foll) -> bool:
    return False


def _only_reference(pfn: int) -> bool:
    """Tell whether the mapping's is the only reference, as it is right now: nothing is drained."""
    folio = live(frame(pfn).folio.read())
    if folio.ksm or folio.refcount != 1 or not folio_trylock(pfn):
        return False
    folio = live(frame(pfn).folio.read())
    alone = folio.mapcount == 1 and folio.refcount == 1
    folio_unlock(pfn)
    return alone


anon_exclusive = Patch(
    name="anon_exclusive",
    title="mm: remember exclusively mapped anonymous pages with PG_anon_exclusive",
    kind="fix",
    commit="6c287605fd56",
    since="5.19",
    source="David Hildenbrand, 2022; with a7f226604170, by which GUP unshares what it pins",
    replaces={
        "PageAnonExclusive": _no_flag,
        "set_page_anon_exclusive": _set_no_flag,
        "gup_must_unshare": _never_unshared,
        "gup_must_unshare_fast": _never_unshared_fast,
    },
)

wp_drain_lru = Patch(
    name="wp_drain_lru",
    title="mm: optimize do_wp_page() for fresh pages in local LRU pagevecs",
    kind="fix",
    commit="d4c470970d45",
    since="5.18",
    source="David Hildenbrand, 2022",
    replaces={"wp_can_reuse_anon_folio": _only_reference},
)
