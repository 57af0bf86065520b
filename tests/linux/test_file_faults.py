"""Faults on files: the page cache, private copies, truncation, tmpfs, poison."""

from __future__ import annotations

from collections.abc import Callable

from tests.linux.stories import does_nothing, found

from refault.linux import Kernel
from refault.linux.include.linux.page import change_folio
from refault.linux.mm.page_cache import cached
from refault.linux.mm.shmem import shmem_fallocate
from refault.linux.mm.truncate import truncate_setsize


def test_a_page_is_read_once_for_two_faults() -> None:
    def story(k: Kernel) -> None:
        file = k.file(cached=False)
        page = k.mm().mmap(file=file, shared=True)
        other = k.mm("b").mmap(file=file, shared=True)

        @k.thread
        def writer() -> None:
            page.store(1)
            assert page.load() == 1

        @k.thread
        def reader() -> None:
            other.load()

    assert found(story) == "holds"


def test_a_private_copy_is_the_mappings_own() -> None:
    def story(k: Kernel) -> None:
        file = k.file()
        mine = k.mm().mmap(file=file)
        shared = k.mm("b").mmap(file=file, shared=True)

        @k.thread
        def program() -> None:
            mine.load()
            mine.store(1)
            assert mine.load() == 1

        @k.thread
        def other() -> None:
            shared.store(2)
            assert shared.load() == 2

    assert found(story) == "holds"


def fault_beside_truncation(k: Kernel) -> None:
    """A page that leaves the file is mapped nowhere afterwards."""
    file = k.file()
    page = k.mm().mmap(file=file, shared=True)
    k.thread(name="program")(page.load)

    @k.thread
    def truncater() -> None:
        truncate_setsize(file.mapping, 0)
        assert not page.mm.pte(page.address).read().present, "still mapped"


def test_a_truncated_page_is_not_mapped() -> None:
    assert found(fault_beside_truncation) == "SIGBUS"


def test_the_folio_lock_keeps_truncation_and_faults_apart() -> None:
    """Without it a fault maps a page that is in the file no more."""
    unlocked: dict[str, Callable[..., object]] = {
        "folio_lock": does_nothing,
        "folio_unlock": does_nothing,
        "folio_trylock": lambda pfn: True,
    }
    assert "assertion failure" in found(fault_beside_truncation, unlocked)


def test_a_hole_that_is_punched_is_zero_again() -> None:
    def story(k: Kernel) -> None:
        file = k.tmpfs_file()
        page = k.mm().mmap(file=file, shared=True)

        @k.thread
        def program() -> None:
            page.store(1)
            shmem_fallocate(file, 0, 1)
            assert page.load() == 0

        k.thread(name="other")(page.load)

    assert found(story) == "holds"


def test_a_fault_beyond_the_end_of_a_file_is_a_bus_error() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(file=k.file(), shared=True, pages=2)

        @k.thread
        def program() -> None:
            page[0].load()
            page[1].load()

    assert found(story) == "SIGBUS"


def poisoned(k: Kernel, *, dirty: bool) -> None:
    """The memory of a page of a file has gone bad."""
    file = k.file()
    page = k.mm().mmap(file=file, shared=True)

    @k.thread
    def program() -> None:
        change_folio(cached(file.mapping, 0), hwpoison=True, dirty=dirty)
        page.store(1)
        assert page.load() == 1


def test_a_clean_page_that_went_bad_is_read_again() -> None:
    assert found(lambda k: poisoned(k, dirty=False)) == "holds"


def test_a_dirty_page_that_went_bad_is_lost() -> None:
    assert found(lambda k: poisoned(k, dirty=True)) == "SIGBUS"
