"""When a write may go to the page where it is: how the rule came to be what it is.

Up to 5.8 it was the number of mappings: a page mapped once was written in place, whoever else had a
reference. From 5.9 on the number of references decided, and since 5.19 a flag (``reuse``).
"""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_flags import Vm, is_cow_mapping
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.linux.page import folio_of
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.patches.patch import Patch


def _mapped_once(pfn: int) -> bool:
    """``reuse_swap_page()`` of a page that is not in the swap cache: one mapping will do."""
    folio = folio_of(pfn)
    if folio.ksm or not folio_trylock(pfn):
        return False
    alone = folio_of(pfn).mapcount == 1
    folio_unlock(pfn)
    return alone


wp_by_refcount = Patch(
    name="wp_by_refcount",
    title="mm: do_wp_page() simplification",
    kind="fix",
    commit="09854ba94c6a",
    since="5.9",
    source="Linus Torvalds, 2020",
    replaces={"wp_can_reuse_anon_folio": _mapped_once},
    over=("wp_drain_lru",),
)


def _no_seq(mm: MmStruct) -> None:
    return None


fork_write_protect_seq = Patch(
    name="fork_write_protect_seq",
    title="mm/gup: prevent gup_fast from racing with COW during fork",
    kind="fix",
    commit="57efa1fe5957",
    since="5.11",
    source="Jason Gunthorpe, 2020",
    replaces={
        "fork_write_protect_begin": _no_seq,
        "fork_write_protect_end": _no_seq,
    },
)


def _not_locked(vma: VmArea) -> None:
    return None


fork_locks_vmas = Patch(
    name="fork_locks_vmas",
    title="fork: lock VMAs of the parent process when forking",
    kind="fix",
    commit="fb49c455323f",
    since="6.5",
    source="Suren Baghdasaryan, 2023",
    replaces={"dup_mmap_lock_vma": _not_locked},
)


def _broken_once(vma: VmArea, flags: Foll) -> Foll:
    """The copy was made, so a later look needs no write: any page will do."""
    flags_ = vma.vm_flags.read()
    if flags & Foll.WRITE and is_cow_mapping(flags_) and not flags_ & Vm.WRITE:
        return flags & ~Foll.WRITE
    return flags


foll_force_keeps_write = Patch(
    name="foll_force_keeps_write",
    title="mm: remove gup_flags FOLL_WRITE games from __get_user_pages()",
    kind="fix",
    commit="19be0eaffa3a",
    since="4.9",
    source="Linus Torvalds, 2016",
    replaces={"asked_after_fault": _broken_once},
)
