"""Peter Xu's argument: a task is queued before it looks, so it is always notified."""

from __future__ import annotations

from refault.linux import Kernel
from refault.scenarios.api import scenario

XU = (
    "LKML 2020-12-21, Peter Xu, Re: [RFC PATCH 03/13] selftests/vm/userfaultfd: "
    "wake after copy failure"
)


@scenario(source=XU, claims=("52",), expect={"": "holds"})
def enqueue_before_read(k: Kernel) -> None:
    """UFFDIO_COPY at any moment: the task sees the page, or is seen on the queue.

    The argument holds as long as the PTE only ever goes from none to present.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread
    def uffd_thread() -> None:
        uffd.copy(page)


@scenario(source=XU, claims=("52",), expect={"": "holds"})
def resolver_acts_on_the_message(k: Kernel) -> None:
    """A monitor that fills a page only after it read the fault's message always wakes the task.

    Its wake-up comes after the enqueue then, whatever the page table showed in between: here the
    task's other thread writes to the page again and again while the kernel moves it about.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread(daemon=True)
    def uffd_thread() -> None:
        uffd.read()
        uffd.zeropage(page)

    @k.thread
    def kcompactd() -> None:
        page.migrate()


@scenario(
    source=XU,
    claims=("52",),
    expect={"": "lost wakeup", "with must_wait_ptl": "holds"},
)
def always_notified(k: Kernel) -> None:
    """The argument in general, with a PTE that goes through none: refuted.

    The page is filled, and then moved to another frame, before the task is queued.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread
    def uffd_thread() -> None:
        uffd.copy(page)

    @k.thread
    def kcompactd() -> None:
        page.migrate()


@scenario(
    source="LKML 2020-11-28, Nadav Amit, [RFC PATCH 03/13]: the must_wait test is lockless",
    claims=("51",),
    expect={"": "assertion failure", "with must_wait_ptl": "holds"},
)
def must_wait_is_definitive(k: Kernel) -> None:
    """What ``userfaultfd_must_wait()`` says of a page that has been there all the time.

    Nobody fills or removes the page, so "must wait" is wrong whenever it is said.
    """
    page, _ = k.uffd_page(contents="zero page")

    @k.thread
    def cpu0() -> None:
        assert not page.must_wait(), "the page is there, and yet it must wait"

    @k.thread
    def cpu1() -> None:
        page.store(1)
