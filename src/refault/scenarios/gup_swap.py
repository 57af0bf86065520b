"""Who comes by ``folio_lock_or_retry()``, the one wait for a page that knows how to be retried."""

from __future__ import annotations

from refault.explore import Violation, choose
from refault.linux import Kernel
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.kernel.kprobes import register_kprobe
from refault.scenarios.api import scenario

XU = "LKML 2022-06-27, Peter Xu, in reply to Jason Gunthorpe: mm/gup: Add FOLL_INTERRUPTIBLE"


def _probe(k: Kernel) -> None:
    def reached(pfn: int, vmf: VmFaultInfo) -> None:
        raise Violation("folio_lock_or_retry()", f"a fault at {vmf.address:#x} comes by it")

    register_kprobe(k, "folio_lock_or_retry", reached)


@scenario(source=XU, claims=("39",), expect={"": "holds"})
def no_other_fault_locks_or_retries(k: Kernel) -> None:
    """No fault comes by folio_lock_or_retry() but those for an entry of swap.

    Tried are holes, zero pages and copies, pages of files, of tmpfs and of hugetlb, and pages that
    NUMA balancing has marked. Device memory, which comes by it as well, is not modelled.
    """
    _probe(k)
    process = k.mm()
    k.huge_pages(1)
    pages = {
        "hole": process.mmap(),
        "zero page": process.mmap(contents="zero page"),
        "marked page": process.mmap(contents="page"),
        "file": process.mmap(file=k.file("cached")),
        "file on disk": process.mmap(file=k.file("on disk", cached=False), shared=True),
        "hole of tmpfs": process.mmap(file=k.tmpfs_file("tmpfs", cached=False), shared=True),
        "hugetlb": process.mmap(hugetlb=True),
    }

    @k.thread
    def program() -> None:
        pages["marked page"].numa_scan()
        page = pages[choose(*pages)]
        if choose("load", "store") == "load":
            page.load()
        else:
            page.store(1)


@scenario(source=XU, claims=("39",), expect={"": "holds"})
def no_other_wait_locks_or_retries(k: Kernel) -> None:
    """Nor do those that wait for a monitor, or for a page that is being moved."""
    _probe(k)
    process = k.mm()
    uffd = k.userfaultfd(process)
    served, moved = process.mmap(uffd=uffd), process.mmap(contents="page")

    @k.thread
    def program() -> None:
        served.load()
        moved.load()

    @k.thread
    def mover() -> None:
        moved.migrate()

    @k.thread
    def monitor() -> None:
        uffd.copy(served)


@scenario(source=XU, claims=("39",), expect={"": "folio_lock_or_retry()"})
def swap_in_locks_or_retries(k: Kernel) -> None:
    """A fault for an entry of swap does without folio_lock_or_retry(): refuted."""
    _probe(k)
    page = k.mm().mmap(contents="page")

    @k.thread
    def program() -> None:
        page.reclaim()
        page.load()
