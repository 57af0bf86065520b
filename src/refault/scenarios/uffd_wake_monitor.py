"""What the monitor must do when UFFDIO_COPY says that the page is there already."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.uapi.userfaultfd import CopyMode
from refault.scenarios.api import scenario

PATCH = (
    "LKML 2020-11-28, Nadav Amit, [RFC PATCH 03/13] selftests/vm/userfaultfd: "
    "wake after copy failure"
)


@scenario(
    source=PATCH,
    claims=("50", "56"),
    expect={
        "": "holds",
        "without selftest_wake_on_eexist": "lost wakeup",
        "without selftest_wake_on_eexist, with kernel_wakes_on_eexist": "holds",
        "without selftest_wake_on_eexist, with must_wait_ptl": "lost wakeup",
    },
)
def eexist_wakes_nobody(k: Kernel) -> None:
    """When UFFDIO_COPY returns -EEXIST the faulting thread is not woken.

    No race is needed to see it: the page is filled with DONTWAKE, and whoever fills it again must
    wake.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def prefetcher() -> None:
        uffd.copy(page, CopyMode.DONTWAKE)

    k.monitor(uffd)


@scenario(
    source=PATCH,
    claims=("53", "56", "57"),
    expect={
        "": "holds",
        "without selftest_wake_on_eexist": "lost wakeup",
        "without selftest_wake_on_eexist, with kernel_wakes_on_eexist": "holds",
        "without selftest_wake_on_eexist, with must_wait_ptl": "holds",
    },
)
def wake_after_copy_failure(k: Kernel) -> None:
    """A monitor that ignores -EEXIST from UFFDIO_COPY can leave a faulting thread asleep for ever.

    One thread fills a page ahead of its fault and writes to it, another faults on it, and the
    selftest's monitor serves. The second thread's message is read in the end, too late for
    UFFDIO_COPY to do any good: then the monitor has to wake, or the kernel, or the thread must not
    have slept.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread
    def prefetcher() -> None:
        uffd.zeropage(page)
        page.store(2)

    k.monitor(uffd)


@scenario(source=PATCH, claims=("57",), expect={"": "holds"})
def message_stays_readable(k: Kernel) -> None:
    """However the race ends, a thread that sleeps has a message that can be read.

    This monitor fills nothing and only wakes whoever a message names; that is enough.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread(daemon=True)
    def monitor() -> None:
        uffd.zeropage(page)
        page.store(2)
        uffd.read()
        uffd.wake(page)


@scenario(
    source=PATCH,
    claims=("50", "56"),
    expect={
        "": "holds",
        "without selftest_wake_on_eexist": "holds",
    },
)
def two_faults_one_page(k: Kernel) -> None:
    """Two threads fault on one page, and one monitor serves: no harm without a prefetch.

    The second message gets -EEXIST, but the first one's wake-up was for the page, so for both.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def cpu0() -> None:
        page.load()

    @k.thread
    def cpu1() -> None:
        page.load()

    k.monitor(uffd)
