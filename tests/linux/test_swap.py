"""Swap: two who want the same page, the cache between them, and zram without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.linux.stories import does_nothing, found

from refault.linux import Kernel
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.linux.pgtable import PteMarker, make_pte_marker
from refault.linux.mm.migrate import migrate_pages


@pytest.mark.parametrize("zram", [False, True])
def test_two_threads_bring_one_page_back(zram: bool) -> None:
    def story(k: Kernel) -> None:
        if zram:
            k.swap_to_zram()
        page = k.mm().mmap(contents="page")
        out = k.program.cell("it is out", False)

        @k.thread
        def program() -> None:
            page.store(1)
            page.reclaim()
            out.write(True)
            assert page.load() == 1
            page.store(2)
            assert page.load() == 2

        @k.thread
        def other() -> None:
            out.wait(bool)
            assert page.load() in (1, 2)

    assert found(story) == "holds"


def test_a_page_that_is_written_out_is_not_lost_to_a_write() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.store(1)
            assert page.load() == 1

        @k.thread
        def kswapd() -> None:
            page.reclaim()
            page.reclaim()

    assert found(story) == "holds"


def test_what_is_dropped_gives_its_slot_back() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")

        @k.thread
        def program() -> None:
            for value in range(1, 4):
                page.store(value)
                page.reclaim()
                page.dontneed()
            assert page.load() == 0

    assert found(story) == "holds"


def test_the_swap_cache_keeps_the_second_reader_from_reading() -> None:
    """Without its reservation a page may be read twice, and one of the two is lost."""

    def story(k: Kernel) -> None:
        k.swap_to_zram()
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.store(1)
            page.reclaim()
            page.store(2)
            page.reclaim()
            assert page.load() == 2

        k.thread(name="other")(page.load)

    unreserved: dict[str, Callable[..., Any]] = {
        "swapcache_prepare": lambda slot: True,
        "swapcache_clear": does_nothing,
    }
    assert "assertion failure" not in found(story)
    assert "assertion failure" in found(story, unreserved)


def marked(k: Kernel, marker: PteMarker) -> None:
    """An access to a place that has a marker in place of a page."""
    process = k.mm()
    vma = process.mm.add_vma((make_pte_marker(marker),), Vm.READ | Vm.WRITE | Vm.MAYWRITE, None)
    start = vma.vm_start
    page = process.mmap()
    page.address = start
    k.thread(name="program")(lambda: page.store(1))


@pytest.mark.parametrize(
    ("marker", "verdict"),
    [(PteMarker.GUARD, "SIGSEGV"), (PteMarker.POISONED, "SIGBUS"), (PteMarker.UFFD_WP, "holds")],
)
def test_what_a_marker_says_to_an_access(marker: PteMarker, verdict: str) -> None:
    """One for write-protection is taken away where nobody protects the mapping any more."""
    assert found(lambda k: marked(k, marker)) == verdict


def test_a_page_of_several_processes_moves_in_all_of_them() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")
        child = process.child()

        @k.thread
        def parent() -> None:
            page.store(1)
            process.fork(child)
            migrate_pages(page.mm, page.address)
            assert page.load() == 1

        @k.thread
        def first() -> None:
            child.is_born()
            assert page.of(child).load() == 1

    assert found(story) == "holds"
