"""Who can make a present PTE none for a moment while a fault is in ``handle_userfault()``.

"Note that additional scenarios are possible", says the mail, and names ``mprotect()`` and NUMA
balancing. Here is one story for each writer of PTEs that the kernel has for private anonymous
memory. They all begin alike: a worker faults on a missing page, a prefetcher fills it meanwhile,
and the selftest's monitor serves. Where the writer can meet the worker's lockless look, a monitor
that ignores -EEXIST hangs it, and the selftest's repair, or the page-table lock, helps.
"""

from __future__ import annotations

from refault.linux import Kernel, Page, UserFaultFd
from refault.linux.include.linux.mm_types import Vm
from refault.linux.user import COPIED
from refault.scenarios.api import scenario

AMIT = "LKML 2020-12-21, Nadav Amit: additional scenarios are possible"
MEETS = {
    "": "holds",
    "without selftest_wake_on_eexist": "lost wakeup",
    "without selftest_wake_on_eexist, with must_wait_ptl": "holds",
    "without selftest_wake_on_eexist, with kernel_wakes_on_eexist": "holds",
}
EXCLUDED = {"": "holds", "without selftest_wake_on_eexist": "holds"}


def prefetched(k: Kernel, *, prot: Vm = Vm.READ | Vm.WRITE) -> tuple[Page, UserFaultFd]:
    """Begin a story: a worker faults while the page is filled, and the monitor serves."""
    page, uffd = k.uffd_page(prot, wp=True)

    @k.thread
    def worker() -> None:
        page.load()

    k.monitor(uffd)
    return page, uffd


@scenario(source=AMIT, claims=("53", "56"), expect=MEETS)
def writer_wp_page_copy(k: Kernel) -> None:
    """A write fault that copies the page: VMA lock for reading."""
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.zeropage(page)
        page.store(2)


@scenario(source=AMIT, claims=("55", "56"), expect=MEETS)
def writer_writeprotect(k: Kernel) -> None:
    """UFFDIO_WRITEPROTECT by another monitor thread: mmap_lock for reading."""
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        uffd.protect(page)


@scenario(source=AMIT, claims=("55", "56"), expect=MEETS)
def writer_numa_scan(k: Kernel) -> None:
    """NUMA balancing marks the page: mmap_lock for reading."""
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.numa_scan()


@scenario(source=AMIT, claims=("55", "56"), expect=MEETS)
def writer_numa_fault(k: Kernel) -> None:
    """A fault on a page that NUMA balancing has marked: VMA lock for reading.

    The marking itself is one step here, for it is the story before.
    """
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        k.in_one_step(page.numa_scan)
        page.load()


@scenario(
    source=AMIT,
    claims=("54",),
    expect={**EXCLUDED, "without per_vma_lock, without selftest_wake_on_eexist": "holds"},
)
def writer_mprotect(k: Kernel) -> None:
    """mprotect(2) of another thread cannot meet the look: it needs the lock that the fault holds.

    It takes mmap_lock for writing and, since faults have the lock of a VMA, that one too; the
    fault holds one of them from before it found the page missing until after it looked again.
    """
    page, uffd = prefetched(k, prot=Vm.READ)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.mprotect(Vm.READ | Vm.WRITE)


@scenario(
    source=AMIT,
    claims=("56",),
    expect={"": "holds", "without selftest_wake_on_eexist": "unserved fault"},
)
def writer_dontneed(k: Kernel) -> None:
    """MADV_DONTNEED makes the PTE none for good, and then "must wait" is right.

    Yet a monitor that ignores -EEXIST loses the fault here too: it reads the message while the
    page is there, gives up, and then the page goes away.
    """
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.dontneed()


@scenario(source=AMIT, claims=("56",), expect=MEETS)
def writer_migration(k: Kernel) -> None:
    """Moving the page to another frame: folio lock only, so no lock of the fault keeps it out."""
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.migrate()


@scenario(source=AMIT, claims=("56",), expect=MEETS)
def writer_reclaim(k: Kernel) -> None:
    """Swapping the page out: the PTE is none before it is a swap entry; folio lock only."""
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.reclaim()


@scenario(source=AMIT, claims=("56",), expect=MEETS)
def writer_ksm(k: Kernel) -> None:
    """Merging the page with an equal one: mmap_lock for reading and folio lock."""
    page, uffd = prefetched(k)
    kpage = k.ksm_page(COPIED)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.ksm_merge(kpage)


@scenario(source=AMIT, claims=("56",), expect=EXCLUDED)
def writer_khugepaged(k: Kernel) -> None:
    """Khugepaged takes the whole page table away, under the same locks as mprotect(2)."""
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.collapse()


@scenario(source=AMIT, claims=("56",), expect=EXCLUDED)
def writer_hardware(k: Kernel) -> None:
    """The hardware sets the accessed and dirty bits without any lock, and never clears a PTE."""
    page, uffd = prefetched(k)

    @k.thread
    def writer() -> None:
        uffd.copy(page)
        page.store(2)
