"""Nadav Amit's drawing of 2020-12-21, on the kernels where it holds and on the base."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.uapi.userfaultfd import CopyMode
from refault.scenarios.api import scenario

AMIT = (
    "LKML 2020-12-21, Nadav Amit, Re: [RFC PATCH 03/13] selftests/vm/userfaultfd: "
    "wake after copy failure"
)


@scenario(
    source=AMIT,
    claims=("53",),
    expect={
        "": "holds",
        "without anon_exclusive": "holds",
        "without anon_exclusive, without wp_drain_lru": "lost wakeup",
        "without anon_exclusive, without wp_drain_lru, with must_wait_ptl": "holds",
        "without anon_exclusive, without wp_drain_lru, with kernel_wakes_on_eexist": "lost wakeup",
    },
)
def resolved_before_enqueue(k: Kernel) -> None:
    """A page filled and unprotected before the faulting task is queued can leave it asleep.

    The drawing as it stands: one thread faults, another fills the page write-protected, unprotects
    it, and writes to it. Where that write copies the page its PTE is none for a moment, and the
    first thread may look just then. From 5.9 to 5.17 it always copies, for the LRU batch holds a
    reference; in 5.18 only if page and write are on different CPUs; since 5.19 the page is known
    to be exclusive.
    """
    page, uffd = k.uffd_page(wp=True)

    @k.thread
    def cpu0() -> None:
        page.load()

    @k.thread
    def cpu1() -> None:
        uffd.copy(page, CopyMode.WP)
        uffd.unprotect(page)
        page.store(2)


@scenario(
    source=AMIT,
    claims=("53",),
    expect={
        "": "holds",
        "without anon_exclusive": "lost wakeup",
        "without anon_exclusive, with must_wait_ptl": "lost wakeup",
        "without anon_exclusive, with must_wait_ptl, with must_wait_uffd_wp": "holds",
    },
)
def resolved_before_enqueue_on_another_cpu(k: Kernel) -> None:
    """On 5.18 the drawing needs a third thread: the write must not be where the page was filled.

    ``do_wp_page()`` drains the batch of its own CPU and cannot drain another one's. The third
    thread may also fault on the protection, and that fault has a race of its own, which the
    page-table lock alone does not close.
    """
    page, uffd = k.uffd_page(wp=True)

    @k.thread
    def cpu0() -> None:
        page.load()

    @k.thread
    def cpu1() -> None:
        uffd.copy(page, CopyMode.WP)
        uffd.unprotect(page)

    @k.thread
    def cpu2() -> None:
        page.store(2)


@scenario(
    source=AMIT,
    claims=("53",),
    expect={"": "lost wakeup", "with must_wait_ptl": "holds"},
)
def zeropage_then_store(k: Kernel) -> None:
    """The drawing on today's kernel: fill with the zero page instead, and write to it.

    The zero page is shared by all, so the write copies it, whatever the rule for anonymous pages.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def cpu0() -> None:
        page.load()

    @k.thread
    def cpu1() -> None:
        uffd.zeropage(page)
        page.store(2)
