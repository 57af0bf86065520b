"""TLBs: what stays in them, what a flush takes away, and what must not happen before it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.linux.stories import does_nothing, found

from refault.linux import Kernel, Page
from refault.linux.asm.tlb import flush_tlb_page
from refault.linux.include.linux.mm_types import FaultFlag, Vm, VmFaultInfo
from refault.linux.include.linux.page import folio_add_new_anon_rmap
from refault.linux.include.linux.pgtable import mk_pte, set_pte_at
from refault.linux.mm.swap import folio_add_lru


def unmapped_behind_a_reader(k: Kernel) -> None:
    """A page is dropped that another CPU reads through its TLB."""
    page = k.mm().mmap(contents="page")

    @k.thread
    def reader() -> None:
        page.load()
        page.load()

    k.thread(name="other")(page.dontneed)


def with_tlbs(story: Callable[[Kernel], None]) -> Callable[[Kernel], None]:
    """The same story on a machine whose TLBs matter."""

    def told(k: Kernel) -> None:
        k.tlbs()
        story(k)

    return told


def test_a_page_is_not_freed_before_it_is_flushed() -> None:
    assert found(with_tlbs(unmapped_behind_a_reader)) == "holds"
    patched = {"flush_tlb_mm_range": does_nothing}
    assert found(with_tlbs(unmapped_behind_a_reader), patched) == "use after free"


def test_without_tlbs_a_flush_is_nothing() -> None:
    patched = {"flush_tlb_mm_range": does_nothing}
    assert found(unmapped_behind_a_reader, patched) == "holds"


WRITERS: dict[str, Callable[[Page], object]] = {
    "NUMA scan": lambda page: page.numa_scan(),
    "migration": lambda page: page.migrate(),
    "reclaim": lambda page: page.reclaim(),
    "mprotect": lambda page: page.mprotect(Vm.READ | Vm.WRITE | Vm.EXEC),
    "MADV_FREE": lambda page: page.madv_free(),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_no_write_is_lost_to_a_stale_entry(writer: str) -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.add(1)
            page.add(1)
            assert page.load() == 2

        k.thread(name="kernel")(lambda: WRITERS[writer](page))

    assert found(with_tlbs(story)) == "holds"


@pytest.mark.parametrize("writer", ["migration", "reclaim"])
def test_a_page_that_moves_must_be_flushed(writer: str) -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.add(1)
            page.add(1)
            assert page.load() == 2

        k.thread(name="kernel")(lambda: WRITERS[writer](page))

    patched = {"flush_tlb_mm_range": does_nothing}
    assert found(with_tlbs(story), patched) != "holds"


def copied_under_a_reader(k: Kernel) -> None:
    """One thread makes the copy, another writes to it, and a third must not see the old page."""
    page = k.mm().mmap(contents="zero page")
    written = k.program.cell("it was written", False)
    k.thread(name="first")(lambda: page.add(0))

    @k.thread
    def writer() -> None:
        page.store(2)
        written.write(True)

    @k.thread
    def reader() -> None:
        page.load()
        written.wait(bool)
        assert page.load() == 2, "an old page is still read"


def set_then_flush(vmf: VmFaultInfo, new: int) -> None:
    """``wp_page_copy()`` as it once was: the new PTE first, and then the flush."""
    assert not vmf.flags & FaultFlag.UNSHARE
    folio_add_new_anon_rmap(new)
    folio_add_lru(new)
    set_pte_at(vmf.mm.pte(vmf.address), mk_pte(new, write=True, dirty=True))
    flush_tlb_page(vmf.mm, vmf.address)


def test_a_copy_is_mapped_after_the_old_page_is_flushed() -> None:
    assert found(with_tlbs(copied_under_a_reader)) == "holds"
    patched = {"wp_install_copy": set_then_flush}
    assert found(with_tlbs(copied_under_a_reader), patched) == "assertion failure"
