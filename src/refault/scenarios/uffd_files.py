"""userfaultfd on tmpfs and on hugetlb pages, and beside guard pages."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.uapi.errno import EEXIST, EFAULT
from refault.linux.include.uapi.userfaultfd import (
    PAGE_SIZE,
    PagefaultFlag,
    RegisterMode,
)
from refault.linux.mm.truncate import truncate_setsize
from refault.linux.mm.userfaultfd.mfill import COPIED
from refault.scenarios.api import scenario

MINOR = "Axel Rasmussen, 2021, userfaultfd: support minor fault handling for shmem"
MFILL = "mm/userfaultfd.c: {}"


@scenario(source=MINOR)
def minor_fault_is_continued(k: Kernel) -> None:
    """A page that the file has, but the mapping has not, is mapped when the monitor says so."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, missing=False, minor=True, file=k.tmpfs_file(), shared=True)

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        msg = uffd.read()
        assert msg is not None
        assert msg.flags & PagefaultFlag.MINOR
        assert uffd.resume(page) == PAGE_SIZE
        assert uffd.resume(page) == -EEXIST


@scenario(source=MINOR)
def continued_at_any_moment(k: Kernel) -> None:
    """UFFDIO_CONTINUE at any moment: the task sees the page, or is seen on the queue."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, missing=False, minor=True, file=k.tmpfs_file(), shared=True)

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread
    def monitor() -> None:
        uffd.resume(page)


@scenario(
    source=f"{MINOR}; UFFDIO_UNREGISTER wakes if the VMA is registered for missing pages",
    expect={
        "": "lost wakeup",
        "with unregister_wakes_all_modes": "holds",
        "with unregister_wakes_last": "holds",
    },
)
def unregister_minor(k: Kernel) -> None:
    """A task that waits for a minor fault is not let go when its memory is unregistered."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, missing=False, minor=True, file=k.tmpfs_file(), shared=True)

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        assert uffd.unregister(page) == 0


@scenario(
    source=MFILL.format("shmem_mfill_atomic_pte(): what is in the file is not replaced"),
    expect={
        "": "holds",
        "without selftest_wake_on_eexist": "lost wakeup",
        "without selftest_wake_on_eexist, with kernel_wakes_on_eexist": "holds",
    },
)
def file_filled_by_another(k: Kernel) -> None:
    """A hole of a file can be filled past the monitor, by a process that it does not serve.

    The file has the page then, and nobody wakes the task that waits for it in this process.
    UFFDIO_COPY fails with -EEXIST, so here, too, it is the monitor that has to.
    """
    file = k.tmpfs_file(cached=False)
    process, other = k.mm(), k.mm("other")
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, file=file, shared=True)
    elsewhere = other.mmap(file=file, shared=True)

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def writer() -> None:
        elsewhere.store(1)

    k.monitor(uffd)


@scenario(source=MFILL.format("mfill_atomic_pte(): a private mapping gets a page of its own"))
def private_copy_stays_private(k: Kernel) -> None:
    """What UFFDIO_COPY puts into a private mapping of a file is not in the file."""
    file = k.tmpfs_file(cached=False)
    process, other = k.mm(), k.mm("other")
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, file=file)
    elsewhere = other.mmap(file=file, shared=True)

    @k.thread
    def worker() -> None:
        assert page.load() in (0, COPIED)

    @k.thread
    def reader() -> None:
        assert elsewhere.load() == 0, "in the file"

    k.monitor(uffd)


@scenario(
    source="Andrea Arcangeli, 2018, userfaultfd: shmem: add i_size checks",
    expect={"": "holds", "without shmem_i_size": "assertion failure"},
)
def nothing_behind_the_end(k: Kernel) -> None:
    """Nothing is filled behind the end of a file, and what was filled goes when it shrinks."""
    file = k.tmpfs_file(cached=False)
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, file=file, shared=True)
    short = k.program.cell("short", False)

    @k.thread
    def truncater() -> None:
        truncate_setsize(file.mapping, 0)
        short.write(True)

    @k.thread
    def monitor() -> None:
        assert uffd.copy(page) in (PAGE_SIZE, -EFAULT)
        short.wait(bool)
        assert page.mm.pte(page.address).read().none, "a page behind the end of its file"
        assert not file.mapping.i_pages.read(), "in the file, behind its end"


@scenario(source=MFILL.format("mfill_atomic_hugetlb()"))
def huge_page_is_served(k: Kernel) -> None:
    """UFFDIO_COPY of a hugetlb page at any moment: the task sees it, or is seen on the queue."""
    k.huge_pages(2)
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, hugetlb=True)

    @k.thread
    def worker() -> None:
        assert page.load() == COPIED

    @k.thread
    def monitor() -> None:
        assert uffd.copy(page) == PAGE_SIZE


@scenario(
    source="Lorenzo Stoakes, 2025, mm: correctly handle UFFD PTE markers",
    expect={"": "assertion failure", "with must_wait_marker": "holds"},
)
def guard_page_is_not_filled(k: Kernel) -> None:
    """UFFDIO_COPY does not put a page where a guard is."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd)

    @k.thread
    def program() -> None:
        page.guard()
        assert uffd.copy(page) == -EEXIST, "the guard is gone"


@scenario(source=MINOR)
def tmpfs_is_registered_for_anything(k: Kernel) -> None:
    """Tmpfs can be registered for missing pages, minor faults and write-protection together."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(file=k.tmpfs_file(), shared=True)

    @k.thread
    def program() -> None:
        everything = RegisterMode.MISSING | RegisterMode.MINOR | RegisterMode.WP
        assert uffd.register(page, everything) == 0
        assert uffd.protect(page) == 0
        assert page.is_protected(), "of a file a hole is protected by a marker"
        assert uffd.resume(page) == PAGE_SIZE
