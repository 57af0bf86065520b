"""Mappings that are cut, moved, unmapped and copied while somebody uses them."""

from __future__ import annotations

import pytest
from tests.linux.stories import does_nothing, found, run

from refault.linux import Kernel, NotModelled
from refault.linux.include.linux.mm_types import FaultFlag, Vm
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock


def test_what_is_unmapped_is_gone_for_good() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.store(1)
            page.munmap()
            page.load()

    assert found(story) == "SIGSEGV"


def test_the_pages_beside_a_hole_stay() -> None:
    """Unmapping the page in the middle cuts the mapping in two, beside faults in both ends."""

    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(pages=3)
        process.spare(2)

        @k.thread
        def program() -> None:
            page[0].store(1)
            page[2].store(2)
            assert (page[0].load(), page[2].load()) == (1, 2)

        @k.thread
        def other() -> None:
            page[1].munmap()
            page[2].munmap()
            page[0].load()

    assert found(story) == "SIGSEGV"
    assert found(lambda k: cut_in_the_middle(k, 2)) == "holds"


def cut_in_the_middle(k: Kernel, spare: int) -> None:
    """Unmap the middle of three pages while the outer ones are used."""
    process = k.mm()
    page = process.mmap(pages=3)
    process.spare(spare)

    @k.thread
    def program() -> None:
        page[0].store(1)
        page[2].store(2)
        assert (page[0].load(), page[2].load()) == (1, 2)

    k.thread(name="other")(page[1].munmap)


def test_a_cut_without_a_spare_mapping_is_not_modelled() -> None:
    with pytest.raises(NotModelled, match="a mapping more in mm than the story has set aside"):
        found(lambda k: cut_in_the_middle(k, 0))


def test_a_mapping_is_not_to_be_touched_after_its_lock_was_dropped() -> None:
    """Who reads the VMA after a fault that dropped the lock reads freed memory."""

    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()

        @k.thread
        def driver() -> None:
            mmap_read_lock(page.mm)
            handle_mm_fault(page.vma, page.address, FaultFlag.DEFAULT)
            page.vma.vm_flags.read()

        k.thread(name="monitor")(lambda: uffd.wake(page))
        k.thread(name="other")(page.munmap)

    kinds = {finding.kind for finding, _ in run(story).findings}
    assert "use after free" in kinds


def test_a_fault_keeps_its_mapping_from_being_unmapped() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap()

        @k.thread
        def driver() -> None:
            mmap_read_lock(page.mm)
            if page.mm.find_vma(page.address):
                handle_mm_fault(page.vma, page.address, FaultFlag.WRITE)
                page.vma.vm_flags.read()
            mmap_read_unlock(page.mm)

        k.thread(name="other")(page.munmap)

    assert found(story) == "holds"
    unlocked = {"mmap_write_lock": does_nothing, "mmap_write_downgrade": does_nothing}
    unlocked |= {"mmap_read_unlock": does_nothing, "mmap_read_lock": does_nothing}
    assert found(story, unlocked) != "holds"


def test_what_is_moved_is_found_where_it_moved_to() -> None:
    """Also by who starts from the page: migration follows the memory to its new place."""

    def story(k: Kernel) -> None:
        process = k.mm()
        old, new = process.mmap(contents="page"), process.room()

        @k.thread
        def program() -> None:
            old.store(1)
            old.mremap(new)
            assert new.load() == 1

        k.thread(name="compaction")(old.migrate)

    assert found(story) == "holds"


def test_the_old_place_is_empty() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        old, new = process.mmap(contents="page"), process.room()

        @k.thread
        def program() -> None:
            old.mremap(new)
            old.load()

    assert found(story) == "SIGSEGV"


def test_map_fixed_puts_fresh_memory_in_the_place_of_old() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")
        process.spare()

        @k.thread
        def program() -> None:
            page.store(1)
            page.mmap_fixed()
            assert page.load() == 0

        k.thread(name="other")(page.load)

    assert found(story) == "holds"


def test_a_guard_is_no_memory_until_it_is_taken_away() -> None:
    def story(k: Kernel, taken_away: bool) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.guard()
            if taken_away:
                page.unguard()
            assert page.load() == 0

    assert found(lambda k: story(k, True)) == "holds"
    assert found(lambda k: story(k, False)) == "SIGSEGV"


def test_memory_that_may_be_freed_keeps_what_is_written_later() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        @k.thread
        def program() -> None:
            page.store(1)
            page.madv_free()
            page.store(2)
            assert page.load() == 2

        k.thread(name="other")(lambda: page.add(0))

    assert found(story) == "holds"


def test_a_swapped_out_page_is_shared_by_a_fork() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")
        child = process.child()

        @k.thread
        def parent() -> None:
            page.store(1)
            page.reclaim()
            process.fork(child)
            page.store(2)
            assert page.load() == 2

        @k.thread
        def first() -> None:
            child.is_born()
            assert page.of(child).load() == 1

    assert found(story) == "holds"


def test_a_pinned_page_stays_with_the_parent() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")
        child = process.child()

        @k.thread
        def parent() -> None:
            device = page.pin(write=True)
            process.fork(child)
            page.store(1)
            device.write(2)
            assert page.load() == 2
            device.release()

        @k.thread
        def first() -> None:
            child.is_born()
            assert page.of(child).load() == 0

    assert found(story) == "holds"


def test_a_shared_mapping_is_shared_with_the_child() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(file=k.file(), shared=True)
        child = process.child()

        @k.thread
        def parent() -> None:
            process.fork(child)
            page.store(1)

        @k.thread
        def first() -> None:
            child.is_born()
            mine = page.of(child)
            mine.store(2)
            assert page.load() in (1, 2)

    assert found(story) == "holds"


def test_fresh_memory_gets_its_anon_vma_beside_a_writer() -> None:
    """The first write fault of a mapping needs mmap_lock besides the lock of the VMA."""

    def story(k: Kernel) -> None:
        page = k.mm().mmap(fresh=True)
        k.thread(name="program")(lambda: page.store(1))
        k.thread(name="other")(lambda: page.mprotect(Vm.READ | Vm.WRITE | Vm.EXEC))

    assert found(story) == "holds"
