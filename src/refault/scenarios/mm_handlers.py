"""Fault handlers of drivers and file systems, and what the core makes of their answers.

A handler answers with ``VM_FAULT_*`` bits, and with some of them it promises something about the
fault lock. Nothing in the kernel checks that it keeps the promise.
"""

from __future__ import annotations

from refault.explore import choose
from refault.linux import Kernel
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.mm.filemap_fault import filemap_fault, filemap_map_pages
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.scenarios.api import scenario


@scenario(
    source="virt/kvm/guest_memfd.c in 6.18: a fault handler that makes RETRY of -EAGAIN",
    expect={"": "fault contract"},
)
def handler_says_retry_and_keeps_the_lock(k: Kernel) -> None:
    """A handler that says RETRY must have dropped the fault lock, and guest_memfd's has not.

    Whoever called takes the lock again, above the one that it still has.
    """

    def busy_or_there(vmf: VmFaultInfo) -> Found:
        if choose("-EAGAIN", "a folio") == "-EAGAIN":
            return Found(VmFault.RETRY)
        return filemap_fault(vmf)

    memfd = k.file("guest_memfd", vm_ops=VmOperations(fault=busy_or_there, name="guest_memfd"))
    page = k.mm().mmap(file=memfd, shared=True)

    @k.thread
    def vcpu() -> None:
        page.load()


@scenario(
    source="the contract of VM_FAULT_RETRY: include/linux/mm_types.h",
    expect={"": "holds"},
)
def handler_says_retry_and_drops_the_lock(k: Kernel) -> None:
    """The same handler, if it drops the lock before it says RETRY, is tried until it succeeds."""
    busy = k.program.cell("device is busy", True)

    def busy_or_there(vmf: VmFaultInfo) -> Found:
        if busy.read():
            release_fault_lock(vmf)
            busy.write(False)
            return Found(VmFault.RETRY)
        return filemap_fault(vmf)

    device = k.file("device", vm_ops=VmOperations(fault=busy_or_there, name="device"))
    page = k.mm().mmap(file=device, shared=True)

    @k.thread
    def program() -> None:
        assert page.load() == 0


MKWRITE = "fs/nfs, fs/orangefs, fs/exfat, fs/netfs in 6.18: ->page_mkwrite that returns RETRY"


@scenario(
    source=MKWRITE,
    expect={"": "assertion failure", "with mkwrite_retry": "holds"},
)
def mkwrite_says_retry(k: Kernel) -> None:
    """A file system that cannot prepare for a write now says RETRY, and the write goes on.

    do_page_mkwrite() looks for errors and NOPAGE only, so it takes RETRY for a success, locks the
    page itself and makes the PTE writable: the file system never hears of this write.
    """
    prepared = k.program.cell("prepared", False)
    locked = k.program.cell("inode is locked", True)

    def page_mkwrite(vmf: VmFaultInfo, pfn: int) -> VmFault:
        if locked.read():
            locked.write(False)
            return VmFault.RETRY
        prepared.write(True)
        return VmFault.NONE

    ops = VmOperations(filemap_fault, page_mkwrite, filemap_map_pages, name="netfs")
    page = k.mm().mmap(file=k.file(vm_ops=ops), shared=True)

    @k.thread
    def program() -> None:
        page.store(1)
        assert prepared.read(), "the page was written and the file system does not know"


@scenario(
    source="Peter Xu, 2022: mm: avoid unnecessary page fault retires on shared memory types",
    expect={
        "": "holds",
        "without per_vma_lock": "holds",
        "without fault_completed, without per_vma_lock": "assertion failure",
    },
)
def throttled_write_is_counted_once(k: Kernel) -> None:
    """A write fault that is held back for dirtying too much is done when it comes back.

    It has dropped its lock for the wait. Since 5.19 it says COMPLETED; before, it said RETRY, was
    tried again for nothing, and counted as a major fault though it has read nothing.
    """
    k.count_faults()
    file = k.file(congested=True)
    page = k.mm().mmap(file=file, shared=True)

    @k.thread
    def writer() -> None:
        page.store(1)
        counters = k.fault_counters["writer"]
        assert counters.maj_flt.read() == 0
        assert counters.min_flt.read() == 1

    @k.thread
    def flusher() -> None:
        assert file.congested is not None
        file.congested.write(False)
