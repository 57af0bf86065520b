"""Events, poll, close: who is told what, and when everybody goes on."""

from __future__ import annotations

import pytest
from tests.linux.stories import does_nothing, found, told

from refault.explore import restart
from refault.linux import Kernel
from refault.linux.fs.userfaultfd.events import mremap_userfaultfd_fail, mremap_userfaultfd_prep
from refault.linux.fs.userfaultfd.poll import Poll
from refault.linux.include.uapi.errno import EAGAIN, EFAULT, EINVAL
from refault.linux.include.uapi.userfaultfd import (
    PAGE_SIZE,
    UffdEvent,
    UffdFeature,
    UserStruct,
)
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.patches import resolve

REMOVE = UffdFeature.EVENT_REMOVE


def test_a_monitor_that_did_not_ask_hears_nothing_of_a_removal() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, nonblock=True)
        page = process.mmap(uffd=uffd, contents="page")

        @k.thread
        def program() -> None:
            assert page.dontneed() == 0
            assert uffd.read_many(1) == -EAGAIN
            assert uffd.copy(page) == PAGE_SIZE

    assert found(story) == "holds"


def test_an_event_that_nobody_reads_is_told_apart() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, features=REMOVE)
        page = process.mmap(uffd=uffd)
        k.thread(name="program")(page.dontneed)

    text = told(story)
    assert text.startswith("unread event\nprogram will sleep for ever")
    assert "TASK_KILLABLE, on event_wqh, until somebody reads: remove 0x1000" in text


def test_faults_and_events_are_read_from_one_descriptor() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, features=REMOVE)
        page, other = process.mmap(uffd=uffd), process.mmap(uffd=uffd)
        k.thread(name="worker")(page.load)
        k.thread(name="program")(other.dontneed)

        @k.thread
        def monitor() -> None:
            first, second = uffd.read(), uffd.read()
            assert first is not None
            assert second is not None
            assert {first.event, second.event} == {UffdEvent.PAGEFAULT, UffdEvent.REMOVE}
            while uffd.copy(page) == -EAGAIN:
                restart()

    assert found(story) == "holds"


def test_several_messages_are_read_at_once_and_only_the_first_is_waited_for() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process)
        page = process.mmap(uffd=uffd, pages=2)
        k.thread(name="one")(page.load)
        k.thread(name="two")(page[1].load)
        both = k.program.possible("both at once")

        @k.thread
        def monitor() -> None:
            assert uffd.read_many(0) == -EINVAL
            messages = uffd.read_many(3)
            assert isinstance(messages, tuple)
            if len(messages) == 2:
                both()
            uffd.copy(page, pages=2)

    assert found(story) == "holds"


def test_a_failed_mremap_leaves_the_ioctls_shut_until_it_is_repaired() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        uffd = k.userfaultfd(process, features=UffdFeature.EVENT_REMAP)
        page = process.mmap(uffd=uffd)

        @k.thread
        def program() -> None:
            mmap_write_lock(page.mm)
            ctx = mremap_userfaultfd_prep(page.vma)
            mmap_write_unlock(page.mm)
            mremap_userfaultfd_fail(ctx)

    assert told(story).startswith("leak\nmmap_changing of uffd is 1")
    assert found(story, resolve("with mremap_fail_dec")) == "holds"


def test_only_a_descriptor_that_does_not_block_can_be_polled() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        blocking = k.userfaultfd(process)
        fresh = k.userfaultfd(process, name="fresh", nonblock=True, features=None)
        uffd = k.userfaultfd(process, name="other", nonblock=True)

        @k.thread
        def monitor() -> None:
            assert blocking.poll() == fresh.poll() == Poll.ERR
            assert uffd.poll(wait=False) == Poll.NONE

    assert found(story) == "holds"


def polled(k: Kernel) -> None:
    """A monitor that polls for one fault."""
    process = k.mm()
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd)
    k.thread(name="worker")(page.load)

    @k.thread
    def monitor() -> None:
        uffd.poll()
        uffd.copy(page)


def test_a_poller_is_woken_by_the_fault_it_waits_for() -> None:
    assert found(polled) == "holds"
    assert found(polled, {"wake_up_poll": does_nothing}) == "lost wakeup"


def test_a_message_that_cannot_be_copied_is_lost_and_says_so() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page(pages=2)
        k.thread(name="worker")(page.load)

        @k.thread
        def monitor() -> None:
            assert uffd.read_many(2, buffer=UserStruct.READ_ONLY) == -EFAULT
            uffd.copy(page)

    assert found(story) == "holds"


def test_a_userfaultfd_is_not_used_after_it_was_closed_for_good() -> None:
    def story(k: Kernel) -> None:
        _, uffd = k.uffd_page()

        @k.thread
        def monitor() -> None:
            uffd.close()
            uffd.close()

    assert found(story) == "use after free"


@pytest.mark.parametrize("broken", ["userfaultfd_release_all", "__wake_up"])
def test_a_close_that_leaves_a_part_out_leaves_somebody_asleep(broken: str) -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()
        k.thread(name="worker")(page.load)

        @k.thread
        def monitor() -> None:
            uffd.read()
            uffd.close()

    assert found(story) == "holds"
    assert found(story, {broken: does_nothing}) != "holds"


def woken_in_time(k: Kernel) -> None:
    """A fault that finds its page filled does not sleep, and takes itself off the queue."""
    page, uffd = k.uffd_page()
    k.thread(name="worker")(page.load)
    k.thread(name="prefetcher")(lambda: uffd.copy(page))


def test_an_entry_that_stays_on_a_queue_is_found() -> None:
    assert found(woken_in_time) == "holds"
    assert found(woken_in_time, {"unlink_uwq": does_nothing}) == "use after free"


def test_a_reference_that_is_not_given_back_is_seen_at_the_end() -> None:
    def story(k: Kernel) -> None:
        page, uffd = k.uffd_page()
        k.thread(name="worker")(page.load)
        k.thread(name="monitor")(uffd.close)

    assert found(story) == "holds"
    assert found(story, {"userfaultfd_ctx_put": does_nothing}) == "leak"
