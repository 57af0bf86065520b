"""Page faults: what a program sees of them, and what a lockless reader of the PTE sees."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.linux.stories import found

from refault.linux import Kernel, Page
from refault.linux.include.linux.mm_types import Vm


def test_memory_that_nobody_wrote_is_zero_and_keeps_what_is_written() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap()

        @k.thread
        def program() -> None:
            assert page.load() == 0
            page.store(1)
            assert page.load() == 1
            page.store(2)
            assert page.load() == 2

    assert found(story) == "holds"


def test_a_faulting_store_runs_again_after_the_fault() -> None:
    """Two threads fault on a missing page at once: each store takes place, whoever maps it."""

    def story(k: Kernel) -> None:
        left, right = k.mm("a").mmap(), k.mm("b").mmap()
        both = k.mm().mmap()

        def program(own: Page, value: int) -> None:
            both.store(value)
            own.store(both.load())
            assert own.load() in (1, 2)

        k.thread(name="left")(lambda: program(left, 1))
        k.thread(name="right")(lambda: program(right, 2))

    assert found(story) == "holds"


@pytest.mark.parametrize(("prot", "verdict"), [(Vm.READ, "SIGSEGV"), (Vm.WRITE, "holds")])
def test_a_store_needs_a_writable_mapping(prot: Vm, verdict: str) -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(prot)
        k.thread(name="program")(lambda: page.store(1))

    assert found(story) == verdict


def someone_looks(k: Kernel, page: Page) -> None:
    """A thread reads the PTE without its lock and does not like to see none."""

    @k.thread
    def looker() -> None:
        assert not page.mm.pte(page.address).read().none, "the PTE is none"


def test_copying_a_page_shows_a_hole_where_there_is_none() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="zero page")
        k.thread(name="writer")(lambda: page.store(1))
        someone_looks(k, page)

    assert found(story) == "assertion failure"


def test_reusing_a_page_shows_no_hole() -> None:
    """An exclusive page that is read-only becomes writable by one write of the PTE."""

    def story(k: Kernel) -> None:
        mm = k.mm()
        uffd = k.userfaultfd(mm)
        page = mm.mmap(uffd=uffd, missing=False, contents="page", protected=True)
        k.thread(name="writer")(lambda: page.store(1))
        someone_looks(k, page)

    assert found(story) == "holds"


WRITERS: dict[str, Callable[[Kernel, Page], object]] = {
    "NUMA scan": lambda k, page: page.numa_scan(),
    "migration": lambda k, page: page.migrate(),
    "reclaim": lambda k, page: page.reclaim(),
    "khugepaged": lambda k, page: page.collapse(),
    "mprotect": lambda k, page: page.mprotect(Vm.READ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_no_writer_of_ptes_loses_what_is_in_the_page(writer: str) -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            if writer != "mprotect":
                page.store(1)
                assert page.load() == 1
            page.load()

        k.thread(name="kernel")(lambda: WRITERS[writer](k, page))

    assert found(story) == "holds"


def test_a_merged_page_is_copied_before_it_is_written() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")
        kpage = k.ksm_page(0)
        other = k.frames[kpage]

        @k.thread
        def program() -> None:
            page.store(1)
            assert page.load() == 1
            assert other.data.read() == 0

        k.thread(name="ksmd")(lambda: page.ksm_merge(kpage))

    assert found(story) == "holds"


def test_dropping_a_page_loses_what_is_in_it() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.store(1)
            page.dontneed()
            assert page.load() == 0

    assert found(story) == "holds"


def test_two_pages_that_are_swapped_out_do_not_share_a_slot() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        pages = [process.mmap(contents="page") for _ in range(2)]

        @k.thread
        def program() -> None:
            for value, page in enumerate(pages):
                page.store(value)
            for page in pages:
                page.reclaim()
            for value, page in enumerate(pages):
                assert page.load() == value

    assert found(story) == "holds"
