"""The same race for write-protection faults: unprotected before the task is queued.

``userfaultfd_must_wait()`` then looks at the write bit. That is not the bit by which the fault was
raised: a page that nobody protects any more can still be read-only, because it has to be copied
first, because NUMA balancing marked it, or because it is being moved and the bit means something
else.
"""

from __future__ import annotations

from refault.linux import Kernel
from refault.scenarios.api import scenario

AMIT = (
    "after LKML 2020-12-21, Nadav Amit, Re: [RFC PATCH 03/13] selftests/vm/userfaultfd: "
    "wake after copy failure"
)


@scenario(
    source=AMIT,
    claims=("51",),
    expect={
        "": "holds",
        "without anon_exclusive": "lost wakeup",
        "without anon_exclusive, with must_wait_ptl": "lost wakeup",
        "without anon_exclusive, with must_wait_uffd_wp": "holds",
    },
)
def unprotected_before_enqueue(k: Kernel) -> None:
    """Unprotecting a page that is exclusive makes it writable at once, so the look is right.

    Before the kernel knew exclusive pages, unprotecting left them read-only, and the task slept.
    """
    page, uffd = k.uffd_page(wp=True, contents="page", protected=True)

    @k.thread
    def cpu0() -> None:
        page.store(1)

    @k.thread
    def cpu1() -> None:
        uffd.unprotect(page)


@scenario(
    source=AMIT,
    claims=("51",),
    expect={
        "": "lost wakeup",
        "with must_wait_ptl": "lost wakeup",
        "with must_wait_uffd_wp": "holds",
    },
)
def unprotected_zero_page(k: Kernel) -> None:
    """A page that a write has to copy stays read-only when it is unprotected: "must wait" for ever.

    No transient value is needed, and so the page-table lock does not help.
    """
    page, uffd = k.uffd_page(wp=True, contents="zero page", protected=True)

    @k.thread
    def cpu0() -> None:
        page.store(1)

    @k.thread
    def cpu1() -> None:
        uffd.unprotect(page)


@scenario(
    source=AMIT,
    claims=("56",),
    expect={"": "holds", "without selftest_wake_on_eexist": "holds"},
)
def unprotecting_always_wakes(k: Kernel) -> None:
    """A monitor that goes on reading cures it: UFFDIO_WRITEPROTECT wakes, needed or not."""
    page, uffd = k.uffd_page(wp=True, contents="zero page", protected=True)

    @k.thread
    def cpu0() -> None:
        page.store(1)

    @k.thread
    def cpu1() -> None:
        uffd.unprotect(page)

    k.monitor(uffd)


@scenario(
    source=AMIT,
    claims=("51", "55"),
    expect={
        "": "lost wakeup",
        "with must_wait_ptl": "lost wakeup",
        "with must_wait_uffd_wp": "lost wakeup",
        "with must_wait_ptl, with must_wait_uffd_wp": "holds",
    },
)
def unprotected_then_numa_scan(k: Kernel) -> None:
    """NUMA balancing takes the write bit away from a page that nobody protects any more."""
    page, uffd = k.uffd_page(wp=True, contents="page", protected=True)

    @k.thread
    def cpu0() -> None:
        page.store(1)

    @k.thread
    def cpu1() -> None:
        uffd.unprotect(page)
        page.numa_scan()


@scenario(
    source="stable 2026-07-02, Kiryl Shutsemau, userfaultfd: gate must_wait writability check "
    "on pte_present()",
    claims=("51",),
    expect={
        "": "lost wakeup",
        "with must_wait_pte_present": "lost wakeup",
        "with must_wait_ptl": "lost wakeup",
        "with must_wait_ptl, with must_wait_pte_present": "lost wakeup",
        "with must_wait_ptl, with must_wait_uffd_wp": "holds",
    },
)
def unprotected_then_migrated(k: Kernel) -> None:
    """The write bit of a migration entry is no write bit.

    The later fix does not look at it, and closes a third of the window: before there is a
    migration entry the PTE is none for a moment, and a page that is unprotected while it is being
    moved is read-only when it arrives.
    """
    page, uffd = k.uffd_page(wp=True, contents="page", protected=True)

    @k.thread
    def cpu0() -> None:
        page.store(1)

    @k.thread
    def cpu1() -> None:
        uffd.unprotect(page)

    @k.thread
    def kcompactd() -> None:
        page.migrate()
