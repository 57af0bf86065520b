"""What a CPU remembers of a page table that has changed.

All of these need the TLB of another CPU: the page table is right, and an access goes wrong.
"""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.mm.truncate import truncate_setsize
from refault.scenarios.api import scenario

AWAKE = "with must_wait_ptl, with must_wait_uffd_wp"
"""So that nobody is left asleep, which is another story."""


@scenario(
    source="Nadav Amit, 2021: mm/userfaultfd: fix memory corruption due to writeprotect",
    expect={
        "": "holds",
        "without wp_pending_flush": "holds",
        f"without anon_exclusive, {AWAKE}": "holds",
        f"without anon_exclusive, without wp_pending_flush, {AWAKE}": "assertion failure",
    },
)
def write_protected_but_not_flushed(k: Kernel) -> None:
    """A page is protected, and unprotected by another thread before the flush for it was done.

    A write fault copies the page then, for a pipe has it too, while a CPU still writes to it by its
    TLB: lost. A page that is known to be exclusive is not copied.
    """
    k.tlbs()
    page, uffd = k.uffd_page(wp=True, contents="page")

    @k.thread
    def writer() -> None:
        page.pin(longterm=False)
        page.add(1)
        page.add(1)
        assert page.load() == 2, "a write is lost"

    @k.thread
    def protector() -> None:
        uffd.protect(page)
        uffd.unprotect(page)

    @k.thread
    def unprotector() -> None:
        uffd.unprotect(page)
        page.add(0)


@scenario(
    source="Linus Torvalds, 2018: mremap: properly flush TLB before releasing the page",
    expect={"": "holds", "without mremap_flush_locked": "use after free"},
)
def truncated_where_it_moved_to(k: Kernel) -> None:
    """A page is moved by mremap(2) and truncated at its new place; a TLB has the old one."""
    k.tlbs()
    file = k.file()
    process = k.mm()
    old = process.mmap(file=file, shared=True)
    new = process.room(file=file)
    read = k.program.cell("it was read", False)

    @k.thread
    def reader() -> None:
        old.load()
        read.write(True)

    @k.thread
    def mover() -> None:
        read.wait(bool)
        old.mremap(new)

    @k.thread
    def truncater() -> None:
        read.wait(bool)
        truncate_setsize(file.mapping, 0)


@scenario(
    source="Mel Gorman, 2017: mm, mprotect: flush TLB if potentially racing with a parallel"
    " reclaim leaving stale TLB entries",
    expect={"": "holds", "without tlb_batched_pending": "assertion failure"},
)
def dropped_while_being_reclaimed(k: Kernel) -> None:
    """Reclaim has cleared the PTE and left the flush for later; MADV_DONTNEED finds nothing mapped.

    It returns without a flush, and the program reads what it has just dropped.
    """
    k.tlbs()
    page = k.mm().mmap(contents="page")

    @k.thread
    def program() -> None:
        page.store(1)
        page.dontneed()
        assert page.load() == 0, "what was dropped is still there"

    @k.thread
    def kswapd() -> None:
        page.reclaim()


@scenario(
    source="Minchan Kim, 2017: mm: fix MADV_[FREE|DONTNEED] TLB flush miss problem",
    expect={"": "holds", "without tlb_flush_nested": "assertion failure"},
)
def dropped_twice(k: Kernel) -> None:
    """Two threads drop a page; the second finds it gone, and returns before the first flushes."""
    k.tlbs()
    page = k.mm().mmap(contents="page")

    @k.thread
    def program() -> None:
        page.store(1)
        page.dontneed()
        assert page.load() == 0, "what was dropped is still there"

    @k.thread
    def other() -> None:
        page.dontneed()
