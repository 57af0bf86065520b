"""Kinds of memory and of registration: tmpfs, hugetlb, poison, protection of what is not there."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.uapi.errno import EEXIST
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, RegisterMode, UffdFeature
from refault.scenarios.api import scenario

POISON = "fs/userfaultfd.c: userfaultfd_must_wait(): a marker counts as none"


@scenario(
    source=POISON,
    expect={
        "": ("SIGBUS", "lost wakeup"),
        "with must_wait_ptl": ("SIGBUS", "lost wakeup"),
        "with must_wait_marker": ("SIGBUS", "lost wakeup"),
        "with must_wait_poison": "SIGBUS",
    },
)
def poisoned_before_enqueue(k: Kernel) -> None:
    """An access to memory that the monitor poisons ends in a bus error, or never ends.

    Where the fault is queued when the page is poisoned already, the look at the PTE takes the
    marker for a hole, and the wake-up is over. No lock helps: it is the look that is wrong, and
    so it stays when markers of other kinds are told apart in 6.19.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        assert uffd.poison(page) == PAGE_SIZE


@scenario(source="mm/userfaultfd.c: mfill_atomic_pte_poison(): a hole, not even with a marker")
def poison_replaces_nothing(k: Kernel) -> None:
    """Of poisoning and filling a page one succeeds; a copy replaces the marker, if it is last."""
    page, uffd = k.uffd_page()

    @k.thread
    def one() -> None:
        assert uffd.copy(page) == PAGE_SIZE

    @k.thread
    def other() -> None:
        assert uffd.poison(page) in (PAGE_SIZE, -EEXIST)


@scenario(
    source="Peter Xu, 2023, mm/uffd: UFFD_FEATURE_WP_UNPOPULATED",
)
def protected_before_it_is_there(k: Kernel) -> None:
    """With WP_UNPOPULATED a hole can be write-protected, and the first write tells."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=UffdFeature.WP_UNPOPULATED)
    page = process.mmap(uffd=uffd, missing=False, wp=True)
    told = k.program.cell("told", False)

    @k.thread(daemon=True)
    def monitor() -> None:
        uffd.read()
        told.write(True)
        uffd.unprotect(page)

    @k.thread
    def program() -> None:
        assert uffd.protect(page) == 0
        page.store(1)
        assert told.read(), "written without a message"


@scenario(
    source="Peter Xu, 2023, mm/uffd: UFFD_FEATURE_WP_UNPOPULATED: without it a hole stays one",
    expect={"": "assertion failure"},
)
def a_hole_cannot_be_protected(k: Kernel) -> None:
    """Without that feature protecting a hole does nothing, and the first write tells nobody."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, missing=False, wp=True)

    @k.thread
    def program() -> None:
        assert uffd.protect(page) == 0
        page.store(1)
        assert page.is_protected(), "written without a message"


@scenario(source="Peter Xu, 2023, userfaultfd: UFFD_FEATURE_WP_ASYNC")
def written_without_asking(k: Kernel) -> None:
    """With WP_ASYNC a write unprotects its page by itself; what stays protected is as it was."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=UffdFeature.WP_ASYNC)
    page = process.mmap(uffd=uffd, missing=False, wp=True, contents="page")

    @k.thread
    def program() -> None:
        page.store(1)

    @k.thread
    def tracker() -> None:
        uffd.protect(page)
        before = page.load()
        after = page.load()
        assert not page.is_protected() or before == after, "written, and still protected"


@scenario(
    source="Peter Xu, 2020, userfaultfd: wp: add the writeprotect API to userfaultfd ioctl",
    expect={"": "holds", "without uffd_wp": "assertion failure"},
)
def writes_are_told(k: Kernel) -> None:
    """A program that asks for write-protection is told of the first write to a page."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=None)
    page = process.mmap(contents="page")
    ready = k.program.cell("ready", False)

    @k.thread(daemon=True)
    def monitor() -> None:
        assert uffd.api(UffdFeature.PAGEFAULT_FLAG_WP).ret == 0, "no write-protection here"
        assert uffd.register(page, RegisterMode.WP) == 0
        assert uffd.protect(page) == 0
        ready.write(True)
        uffd.read()
        uffd.unprotect(page)

    @k.thread
    def program() -> None:
        ready.wait(bool)
        page.store(1)
