"""userfaultfd's ioctls, one after the other: what they return, in which order they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.linux.stories import does_nothing, found

from refault.linux import Kernel, NotModelled, Page, UserFaultFd
from refault.linux.fs.userfaultfd.api import ApiResult
from refault.linux.fs.userfaultfd.ioctl import (
    TASK_SIZE,
    Request,
    userfaultfd_copy,
    userfaultfd_wake,
)
from refault.linux.fs.userfaultfd.register import userfaultfd_register
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.uapi.errno import (
    EAGAIN,
    EBUSY,
    EEXIST,
    EFAULT,
    EINVAL,
    ENOENT,
    EPERM,
)
from refault.linux.include.uapi.userfaultfd import (
    API_FEATURES,
    PAGE_SIZE,
    CopyMode,
    MoveMode,
    RegisterMode,
    UffdFeature,
    UserStruct,
    WriteprotectMode,
)
from refault.linux.mm.userfaultfd.mfill import COPIED
from refault.scenarios.uffd_move import pinned_page_stays

TELLS = Callable[[Kernel, Page, UserFaultFd], None]


def one_after_the_other(tell: TELLS, **how: object) -> str:
    """Let one thread do it all, on two pages of a mapping that is registered for both modes."""

    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page(pages=2, wp=True)
        k.thread(name="monitor")(lambda: tell(k, page, uffd))

    return found(story)


def test_a_range_is_filled_as_far_as_it_goes() -> None:
    def tell(k: Kernel, page: Page, uffd: UserFaultFd) -> None:
        assert uffd.copy(page, pages=2) == 2 * PAGE_SIZE
        assert page.load() == page[1].load() == COPIED
        assert page[1].dontneed() == 0
        assert uffd.copy(page, pages=2) == -EEXIST
        assert uffd.zeropage(page[1]) == PAGE_SIZE
        assert page.dontneed() == 0
        assert uffd.zeropage(page, pages=2) == PAGE_SIZE
        assert uffd.copy(page, pages=3) == -ENOENT

    assert one_after_the_other(tell) == "holds"


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (0x1001, PAGE_SIZE),
        (0x1000, PAGE_SIZE + 1),
        (0x1000, 0),
        (0x1000, -PAGE_SIZE),
        (-PAGE_SIZE, PAGE_SIZE),
        (TASK_SIZE, PAGE_SIZE),
        (TASK_SIZE - PAGE_SIZE, 2 * PAGE_SIZE),
    ],
)
def test_a_range_is_whole_pages_of_user_space(start: int, length: int) -> None:
    def tell(k: Kernel, page: Page, uffd: UserFaultFd) -> None:
        bad = Request(start, length)
        assert userfaultfd_copy(uffd.ctx, bad) == -EINVAL
        assert userfaultfd_wake(uffd.ctx, bad) == -EINVAL
        assert userfaultfd_register(uffd.ctx, bad, RegisterMode.MISSING).ret == -EINVAL

    assert one_after_the_other(tell) == "holds"


def test_the_struct_is_read_before_the_range_is_judged() -> None:
    def tell(k: Kernel, page: Page, uffd: UserFaultFd) -> None:
        nowhere = UserStruct.UNMAPPED
        assert userfaultfd_copy(uffd.ctx, Request(1, 1, nowhere)) == -EFAULT
        assert uffd.copy(page, struct=UserStruct.READ_ONLY) == -EFAULT
        assert uffd.copy(page) == -EEXIST

    assert one_after_the_other(tell) == "holds"


def test_a_copy_reads_its_source_page_by_page() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page, src = process.mmap(uffd=uffd, pages=2), process.mmap(pages=2)

        @k.thread
        def monitor() -> None:
            src.store(1)
            assert uffd.copy(page, pages=2, src=src) == 2 * PAGE_SIZE
            assert (page.load(), page[1].load()) == (1, 0)

    assert found(story) == "holds"


def test_nothing_works_before_the_handshake() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, features=None)
        page = process.mmap(contents="page")

        @k.thread
        def monitor() -> None:
            assert uffd.register(page) == -EINVAL
            assert uffd.copy(page) == uffd.wake(page) == uffd.protect(page) == -EINVAL
            assert uffd.read_many(1) == -EINVAL
            assert uffd.api() == ApiResult(0, API_FEATURES)
            assert uffd.register(page) == 0
            assert uffd.api() == ApiResult(-EINVAL)

    assert found(story) == "holds"


def test_the_handshake_refuses_what_it_does_not_know_or_may_not_give() -> None:
    def story(k: Kernel) -> None:
        uffd = k.userfaultfd(k.mm(), features=None)

        @k.thread
        def monitor() -> None:
            assert uffd.api(UffdFeature(1 << 20)) == ApiResult(-EINVAL)
            assert uffd.api(UffdFeature.EVENT_FORK, capable=False) == ApiResult(-EPERM)
            assert uffd.api(struct=UserStruct.UNMAPPED) == ApiResult(-EFAULT)
            assert uffd.api(struct=UserStruct.READ_ONLY) == ApiResult(-EFAULT)
            assert uffd.api(UffdFeature.WP_ASYNC).ret == 0
            assert uffd.ctx.features.read() & UffdFeature.WP_UNPOPULATED

    assert found(story) == "holds"


def test_of_two_handshakes_one_succeeds() -> None:
    def story(k: Kernel) -> None:
        uffd = k.userfaultfd(k.mm(), features=None)
        shaken = k.program.cell("shaken", 0)

        def shake(features: UffdFeature) -> None:
            if uffd.api(features).ret == 0:
                assert shaken.update(lambda n: (n + 1, n)) == 0
                assert uffd.ctx.features.read() == features | UffdFeature.INITIALIZED

        k.thread(name="one")(lambda: shake(UffdFeature.SIGBUS))
        k.thread(name="other")(lambda: shake(UffdFeature.THREAD_ID))

    assert found(story) == "holds"


def test_a_mapping_belongs_to_one_userfaultfd() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        mine, other = k.userfaultfd(process), k.userfaultfd(process, name="other")
        page = process.mmap(contents="page")

        @k.thread
        def monitor() -> None:
            assert mine.register(page, RegisterMode.NONE) == -EINVAL
            assert mine.register(page, RegisterMode.MINOR) == -EINVAL
            assert mine.register(page) == 0
            assert mine.register(page, RegisterMode.MISSING | RegisterMode.WP) == 0
            assert mine.protect(page) == 0
            assert other.register(page) == -EBUSY
            assert other.unregister(page) == -EINVAL
            assert mine.unregister(page) == 0
            assert not page.is_protected()
            assert mine.unregister(page) == 0
            assert other.register(page) == 0

    assert found(story) == "holds"


def test_only_memory_that_may_be_written_can_be_registered() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page = process.mmap()
        page.vma.vm_flags = type(page.vma.vm_flags)(k.program, "shared", Vm.READ)

        @k.thread
        def monitor() -> None:
            assert uffd.register(page) == -EPERM

    assert found(story) == "holds"


def test_a_part_of_a_mapping_needs_a_mapping_more() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page(pages=2)
        k.thread(name="monitor")(lambda: uffd.unregister(page))

    with pytest.raises(NotModelled, match="a mapping more in mm"):
        found(story)


def test_protecting_never_wakes_and_must_not_be_told_so() -> None:
    def tell(k: Kernel, page: Page, uffd: UserFaultFd) -> None:
        assert uffd.copy(page, pages=2) == 2 * PAGE_SIZE
        assert uffd.protect(page) == 0
        assert page.is_protected()
        assert not page[1].is_protected()
        both = WriteprotectMode.WP | WriteprotectMode.DONTWAKE
        assert uffd.unprotect(page, both) == -EINVAL
        assert uffd.unprotect(page, WriteprotectMode.DONTWAKE) == 0
        assert not page.is_protected()

    assert one_after_the_other(tell) == "holds"


def test_a_move_takes_the_page_along() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page, src = process.mmap(uffd=uffd, pages=2), process.mmap(contents="page", pages=2)

        @k.thread
        def monitor() -> None:
            src.store(1)
            src[1].store(2)
            assert uffd.move(page, src, pages=2) == 2 * PAGE_SIZE
            assert (page.load(), page[1].load()) == (1, 2)
            assert uffd.move(page, src) == -EEXIST
            assert src.load() == 0

    assert found(story) == "holds"


def test_what_a_move_refuses() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd, other = k.userfaultfd(process), k.userfaultfd(process, name="other")
        page, hole = process.mmap(uffd=uffd), process.mmap()
        mine = process.mmap(contents="page")
        shared = process.mmap(contents="page")
        read_only = process.mmap(Vm.READ, contents="page")
        shared_pte = shared.mm.pte(shared.address)

        @k.thread
        def monitor() -> None:
            assert uffd.move(page, hole) == -ENOENT
            assert uffd.move(page, hole, MoveMode.ALLOW_SRC_HOLES) == PAGE_SIZE
            assert uffd.move(page, read_only) == -EINVAL
            assert uffd.move(page, mine, pages=2) == -EINVAL
            assert uffd.move(mine, shared) == -EINVAL
            assert other.move(page, mine) == -EINVAL
            assert shared_pte.read().present
            assert uffd.move(page, mine) == PAGE_SIZE

    assert found(story) == "holds"


def test_a_pinned_page_is_not_moved() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page, src = process.mmap(uffd=uffd), process.mmap(contents="page")

        @k.thread
        def monitor() -> None:
            pinned = src.pin()
            assert uffd.move(page, src) == -EBUSY
            pinned.release()
            assert uffd.move(page, src) == PAGE_SIZE

    assert found(story) == "holds"


def test_without_a_look_at_the_pins_a_device_writes_to_a_page_that_has_gone() -> None:
    assert found(pinned_page_stays.story) == "holds"
    blind = {"folio_maybe_dma_pinned": does_nothing}
    assert found(pinned_page_stays.story, blind) == "assertion failure"


def test_the_zero_page_and_swapped_pages_move() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page, src = process.mmap(uffd=uffd, pages=2), process.mmap(pages=2, contents="page")

        @k.thread
        def monitor() -> None:
            src.store(1)
            src.reclaim()
            src[1].dontneed()
            assert src[1].load() == 0
            assert uffd.move(page, src, pages=2) == 2 * PAGE_SIZE
            assert (page.load(), page[1].load()) == (1, 0)

    assert found(story) == "holds"


def test_filling_waits_for_the_event_to_be_read() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, features=UffdFeature.EVENT_REMOVE, nonblock=True)
        page, src = process.mmap(uffd=uffd, wp=True), process.mmap(contents="page")

        @k.thread
        def program() -> None:
            page.dontneed()

        @k.thread
        def monitor() -> None:
            uffd.poll()
            answers = (uffd.copy(page), uffd.zeropage(page), uffd.move(page, src))
            assert answers == (-EAGAIN,) * 3
            assert uffd.protect(page) == -EAGAIN
            assert uffd.copy(page, struct=UserStruct.READ_ONLY) == -EFAULT
            uffd.read()
            uffd.copy(page, CopyMode.WP)

    assert found(story) == "holds"
