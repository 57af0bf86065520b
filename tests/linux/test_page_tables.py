"""What page tables never look like, whoever changes them; and that this is looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.linux.stories import does_nothing, found

from refault.linux import AddressSpace, Kernel, Page
from refault.linux.include.linux.mm_types import Vm

CHANGES: dict[str, Callable[[Page], object]] = {
    "NUMA scan": lambda page: page.numa_scan(),
    "migration": lambda page: page.migrate(),
    "reclaim": lambda page: page.reclaim(),
    "khugepaged": lambda page: page.collapse(),
    "mprotect": lambda page: page.mprotect(Vm.READ | Vm.WRITE),
    "MADV_DONTNEED": lambda page: page.dontneed(),
    "MADV_FREE": lambda page: page.madv_free(),
    "pin": lambda page: page.pin().release(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_page_tables_stay_sound_beside_a_writer(change: str) -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")
        k.check_page_tables()

        @k.thread
        def program() -> None:
            page.store(1)
            page.load()

        k.thread(name="kernel")(lambda: CHANGES[change](page))

    assert found(story) == "holds"


def forked(k: Kernel) -> tuple[AddressSpace, Page, AddressSpace]:
    """A process with a page, and a child that is not born yet."""
    process = k.mm()
    page = process.mmap(contents="page")
    return process, page, process.child()


def fork_beside_a_writer(k: Kernel) -> None:
    """One thread writes while another one forks."""
    process, page, child = forked(k)
    k.check_page_tables()
    k.thread(name="writer")(lambda: page.store(1))
    k.thread(name="forker")(lambda: process.fork(child))


def test_page_tables_stay_sound_beside_a_fork() -> None:
    assert found(fork_beside_a_writer) == "holds"


def test_a_fork_that_write_protects_nothing_is_found() -> None:
    patched = {"ptep_set_wrprotect": does_nothing}
    assert found(fork_beside_a_writer, patched) == "invariant violation"


def test_protected_pages_are_not_writable() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page(wp=True, contents="page")
        k.check_page_tables()

        @k.thread
        def monitor() -> None:
            uffd.protect(page)
            uffd.unprotect(page)

        k.thread(name="program")(lambda: page.store(1))

    assert found(story) == "holds"
