"""Faults against swap, hugetlb, huge pages, and files that shrink."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.linux.sched import TASK_NORMAL
from refault.linux.kernel.sched.core import try_to_wake_up
from refault.linux.mm.shmem import shmem_fallocate
from refault.linux.mm.truncate import truncate_setsize
from refault.scenarios.api import scenario


@scenario(
    source="Kairui Song, 2024: mm/swap: fix race when skipping swapcache",
    expect={
        "": "out of memory",
        "without swapin_one_at_a_time": ("out of memory", "assertion failure"),
    },
)
def two_swap_in_past_the_cache(k: Kernel) -> None:
    """Two threads read one page from zram; the slower one finds the same entry, and another page.

    Between its read and its look at the PTE the page was mapped, written and swapped out again to
    the same slot: the PTE is the same, and what it maps is the page as it was before the write.

    One more consequence of that is left in 6.18, and harmless there: a fault that finds the entry
    in use by nobody, and then the same PTE as before, says that memory has run out.
    """
    k.swap_to_zram()
    page = k.mm().mmap(contents="page")

    @k.thread
    def program() -> None:
        page.store(1)
        page.reclaim()
        page.store(2)
        page.reclaim()
        assert page.load() == 2, "a write is lost"

    @k.thread
    def other() -> None:
        page.load()


@scenario(
    source="Rik van Riel, 2023: hugetlbfs: close race between MADV_DONTNEED and page fault",
    expect={"": "holds", "without hugetlb_zap_lock": "SIGBUS"},
)
def last_huge_page_is_on_its_way_back(k: Kernel) -> None:
    """One thread drops the last hugetlb page and another touches it before it is in the pool."""
    k.huge_pages(1)
    page = k.mm().mmap(hugetlb=True)

    @k.thread
    def program() -> None:
        page.store(1)
        page.dontneed()

    @k.thread
    def other() -> None:
        page.load()


@scenario(
    source="Mike Kravetz, 2019: hugetlbfs: fix hugetlb page migration/fault race causing SIGBUS",
    expect={"": "holds", "without hugetlb_recheck": "SIGBUS"},
)
def huge_page_is_being_moved(k: Kernel) -> None:
    """A fault finds a hole where a hugetlb page is just being moved, and the pool empty."""
    k.huge_pages(2)
    page = k.mm().mmap(hugetlb=True)

    @k.thread
    def program() -> None:
        page.store(1)
        page.migrate()

    @k.thread
    def other() -> None:
        page.load()


@scenario(
    source="Kirill A. Shutemov, 2017: thp: fix MADV_DONTNEED vs. numa balancing race",
    expect={"": "holds", "without thp_never_none": "assertion failure"},
)
def huge_page_is_none_for_a_moment(k: Kernel) -> None:
    """MADV_DONTNEED looks at a PMD entry that NUMA balancing has emptied for a moment.

    There is nothing below it, so there is nothing to do; and then the page is back.
    """
    page = k.mm(thp="huge page").mmap()

    @k.thread
    def program() -> None:
        page.store(1)
        page.dontneed()
        assert page.load() == 0, "what was dropped is still there"

    @k.thread
    def scanner() -> None:
        page.numa_scan()


@scenario(source="mm/truncate.c: faults against truncation", expect={"": "SIGBUS"})
def truncated_while_being_mapped(k: Kernel) -> None:
    """A file shrinks while its last page is faulted in: mapped before, or SIGBUS.

    That no page stays mapped which is in the file no more is judged by the writer of it: what it
    has written before the truncation must be gone when the file has grown again.
    """
    file = k.file()
    page = k.mm().mmap(file=file, shared=True)

    @k.thread
    def program() -> None:
        page.load()

    @k.thread
    def truncater() -> None:
        truncate_setsize(file.mapping, 0)
        pte = page.mm.pte(page.address).read()
        assert not pte.present, "a page is mapped that the file has no more"


@scenario(
    source="Hugh Dickins, 2014: shmem: fix faulting into a hole while it's punched",
    expect={"": "holds"},
)
def hole_is_punched_under_a_fault(k: Kernel) -> None:
    """A fault in a hole that is being punched sleeps until that is done, and leaves no entry."""
    file = k.tmpfs_file()
    page = k.mm().mmap(file=file, shared=True)

    @k.thread
    def program() -> None:
        page.load()

    @k.thread
    def puncher() -> None:
        shmem_fallocate(file, 0, 1)


@scenario(
    source="Tetsuo Handa, 2016: shmem: fix shm fallocate() list corruption",
    expect={"": "holds", "without shmem_unconditional_dequeue": "use after free"},
)
def woken_by_somebody_else(k: Kernel) -> None:
    """A fault waits on a queue that is on the stack of the one who punches the hole.

    Something else wakes it just before, so the last wake-up finds it awake: the entry must leave
    the queue all the same, for the stack is about to be gone.
    """
    file = k.tmpfs_file()
    page = k.mm().mmap(file=file, shared=True)

    @k.thread
    def program() -> None:
        page.load()

    @k.thread
    def puncher() -> None:
        shmem_fallocate(file, 0, 1)

    @k.thread
    def stray() -> None:
        try_to_wake_up(k.task("program"), TASK_NORMAL)


@scenario(
    source="Gerald Schaefer, 2020: mm/userfaultfd: do not access vma->vm_mm after calling"
    " handle_userfault()",
    expect={"": "SIGSEGV", "without thp_missing_frees_first": "use after free"},
)
def unmapped_while_a_huge_page_is_awaited(k: Kernel) -> None:
    """A fault waits in userfaultfd for a huge page, and its mapping is unmapped meanwhile.

    The access is SIGSEGV then, which is right. What the fault has prepared must be given back
    before the wait: afterwards there is no VMA any more to ask for its mm.
    """
    process = k.mm(thp="")
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd)

    @k.thread
    def program() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        page.munmap()
        uffd.wake(page)


@scenario(
    source="Mauricio Faria de Oliveira, 2022: mm: fix race between MADV_FREE reclaim and blkdev"
    " direct IO read",
    expect={"": "holds", "without lazyfree_checks_references": "assertion failure"},
)
def given_up_and_read_into(k: Kernel) -> None:
    """A page that MADV_FREE has given up is read into by a device, and reclaimed meanwhile.

    The device writes by the frame, so no PTE gets dirty until it is done. That it has a reference
    must be enough.
    """
    page = k.mm().mmap(contents="page")

    @k.thread
    def program() -> None:
        page.madv_free()
        device = page.pin(write=True)
        device.write(5)
        assert page.load() == 5, "what the device has read is lost"

    @k.thread
    def kswapd() -> None:
        page.reclaim()
