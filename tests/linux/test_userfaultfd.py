"""userfaultfd: what its calls return, and who is woken when."""

from __future__ import annotations

import pytest
from tests.linux.stories import does_nothing, found, told

from refault.linux import Kernel
from refault.linux.fs.userfaultfd.ctx import UffdFeature
from refault.linux.include.uapi.errno import EEXIST, EINVAL, ENOENT
from refault.linux.include.uapi.userfaultfd import (
    PAGE_SIZE,
    CopyMode,
    PagefaultFlag,
    UffdMsg,
    UffdRange,
)
from refault.linux.mm.userfaultfd.mfill import COPIED
from refault.linux.tools.testing.selftests.mm.uffd_common import uffd_read_thread
from refault.patches import resolve


def test_a_fault_is_read_filled_and_woken() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()

        @k.thread
        def worker() -> None:
            assert page.load() == COPIED

        @k.thread
        def monitor() -> None:
            assert uffd.read() == UffdMsg(page.address, PagefaultFlag.NONE, "worker")
            assert uffd.copy(page) == PAGE_SIZE

    assert found(story) == "holds"


def test_a_page_is_filled_once() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()

        @k.thread
        def monitor() -> None:
            assert uffd.copy(page) == PAGE_SIZE
            assert uffd.copy(page) == -EEXIST
            assert uffd.zeropage(page) == -EEXIST

    assert found(story) == "holds"


def test_two_monitors_fill_a_page_once_between_them() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()
        filled = k.program.cell("filled", 0)

        def monitor() -> None:
            if uffd.copy(page) == PAGE_SIZE:
                filled.update(lambda n: (n + 1, None))
            assert filled.read() <= 1

        k.thread(name="one")(monitor)
        k.thread(name="two")(monitor)

    assert found(story) == "holds"


def test_write_protection_needs_its_registration() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()

        @k.thread
        def monitor() -> None:
            assert uffd.copy(page, CopyMode.WP) == -EINVAL
            assert uffd.protect(page) == -ENOENT

    assert found(story) == "holds"


def test_reading_without_blocking_finds_nothing() -> None:
    def story(k: Kernel) -> None:
        uffd = k.userfaultfd(k.mm(), nonblock=True)

        @k.thread
        def monitor() -> None:
            assert uffd.read() is None

    assert found(story) == "holds"


def test_the_sigbus_feature_kills_instead_of_waiting() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, features=UffdFeature.SIGBUS)
        page = process.mmap(uffd=uffd)
        k.thread(name="worker")(lambda: page.store(1))

    assert found(story) == "SIGBUS"


def test_a_write_to_a_protected_page_is_told_as_such() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page(wp=True, contents="page", protected=True)

        @k.thread
        def worker() -> None:
            page.store(1)

        @k.thread
        def monitor() -> None:
            msg = uffd.read()
            assert msg is not None
            assert msg.flags == PagefaultFlag.WP | PagefaultFlag.WRITE
            uffd.unprotect(page)

    assert found(story) == "holds"


def test_waking_one_page_leaves_the_waiter_of_another_asleep() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        here, there = process.mmap(uffd=uffd), process.mmap(uffd=uffd)
        k.thread(name="worker")(here.load)

        @k.thread
        def monitor() -> None:
            uffd.read()
            uffd.copy(there)

    assert found(story) == "unserved fault"


@pytest.mark.parametrize(
    ("range_", "covered"),
    [
        (UffdRange(0x1000), True),
        (UffdRange(0x1000, 0), True),
        (UffdRange(0x2000, 0), True),
        (UffdRange(0x2000), False),
        (UffdRange(0x0000), False),
        (UffdRange(0x0000, 2 * PAGE_SIZE), True),
    ],
)
def test_a_range_of_no_length_is_everything(range_: UffdRange, covered: bool) -> None:
    assert range_.covers(0x1000) is covered


def lonely_worker(k: Kernel) -> None:
    """A fault that nobody serves."""
    page, _ = k.uffd_page()
    k.thread(name="worker")(page.load)


def test_a_fault_that_nobody_serves_is_told_apart_from_a_lost_wakeup() -> None:
    assert told(lonely_worker).startswith("unserved fault\nworker will sleep for ever")


def refiling(k: Kernel) -> None:
    """A message is being read while another thread fills the page, once, and wakes."""
    page, uffd = k.uffd_page()
    k.thread(name="worker")(page.load)
    k.thread(name="monitor", daemon=True)(lambda: uffd_read_thread(uffd.ctx))
    k.thread(name="prefetcher")(lambda: uffd.copy(page))


def test_the_refile_sequence_keeps_a_waker_from_seeing_two_empty_queues() -> None:
    ignores_eexist = dict(resolve("without selftest_wake_on_eexist"))
    assert found(refiling, ignores_eexist) == "holds"
    no_sequence = ignores_eexist | {
        "write_seqcount_begin": does_nothing,
        "write_seqcount_end": does_nothing,
    }
    assert found(refiling, no_sequence) == "lost wakeup"


def test_a_wake_up_that_is_left_out_is_found() -> None:
    assert found(refiling, {"wake_userfault": does_nothing}) == "lost wakeup"
