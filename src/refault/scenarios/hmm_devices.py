"""Devices that share the memory of a process: what they look up, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

from refault.explore import Cell, Violation
from refault.linux import Kernel
from refault.linux.include.linux.mm import VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.mmu_notifier import MmuIntervalNotifier, MmuNotifierRange
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.include.uapi.signal import SIGKILL
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.workqueue import Work, cancel_work_sync, process_one_work
from refault.linux.lib.test_hmm import (
    Dmirror,
    device_access,
    dmirror_fops_release,
    dmirror_migrate_to_device,
    dmirror_read,
    dmirror_write,
)
from refault.linux.mm.mmu_interval import mmu_interval_notifier_remove, mmu_interval_set_seq
from refault.linux.user import Page
from refault.scenarios.api import scenario
from refault.scenarios.hmm_device import is_freed

HMM = "mm/hmm.c and lib/test_hmm.c of 6.18: a story of our own"

RETRIES = {"": "holds", "with hmm_never_retries": "use after free"}


def _device_and(k: Kernel, take: Callable[[Page], object]) -> None:
    page = k.mm().mmap(contents="page")
    device = Dmirror(k, page.mm)

    @k.thread
    def gpu() -> None:
        for _ in range(2):
            dmirror_write(device, page.address, 1)

    @k.thread
    def host() -> None:
        take(page)


@scenario(source=HMM, expect=RETRIES)
def device_and_dontneed(k: Kernel) -> None:
    """A device never uses a page that MADV_DONTNEED has given back."""
    _device_and(k, Page.dontneed)


@scenario(source=HMM, expect=RETRIES)
def device_and_migration(k: Kernel) -> None:
    """Nor one whose contents are in another frame by now."""
    _device_and(k, Page.migrate)


@scenario(source=HMM)
def device_and_uffd(k: Kernel) -> None:
    """A page that userfaultfd has to fill is -EFAULT to a device: its faults cannot wait."""
    page, _uffd = k.uffd_page()
    device = Dmirror(k, page.mm)

    @k.thread
    def gpu() -> None:
        assert dmirror_read(device, page.address) == -EFAULT


@scenario(source=HMM, expect={"": "livelock"})
def device_reads_memory_of_the_dead(k: Kernel) -> None:
    """A read by the test device ends when the process whose memory it is has ended.

    It does not: the fault finds the process gone and says that all is well, so the read looks
    again, and finds nothing, for ever. Somebody else may have the file open.
    """
    page = k.mm().mmap(contents="page")
    device = Dmirror(k, page.mm)
    k.thread(name="exit", process=page)(lambda: None)

    @k.thread
    def reader() -> None:
        dmirror_read(device, page.address)


@scenario(source=HMM, expect={"": "livelock"})
def device_faults_where_nothing_is_mapped(k: Kernel) -> None:
    """A thread that has a device fault in hmm_range_fault() can be killed.

    Not if a driver says NOPAGE and maps nothing, as it may where it wants the access to happen
    again: the loop has no look at signals, and mmap_lock is held all the while.
    """
    ops = VmOperations(fault=_nothing_yet, name="driver")
    page = k.mm().mmap(file=k.file("device", vm_ops=ops), shared=True)
    device = Dmirror(k, page.mm)
    other = k.mm("other")

    @k.thread(process=other)
    def ioctl() -> None:
        k.syscall(lambda: dmirror_read(device, page.address))

    @k.thread
    def killer() -> None:
        k.kill(ioctl, SIGKILL)


def _nothing_yet(vmf: VmFaultInfo) -> VmFault:
    return VmFault.NOPAGE


DEVPRIV = "Alistair Popple, 2022: mm/memory.c: fix race when faulting a device private page"


@scenario(
    source=f"{DEVPRIV}; CVE-2022-3523",
    expect={"": "holds", "without devpriv_fault_ref": "use after free"},
)
def two_cpus_fault_on_a_device_page(k: Kernel) -> None:
    """Two threads that fault on a page in a device's memory both get it, from wherever it is."""
    page = k.mm().mmap(contents="page")
    device = Dmirror(k, page.mm)
    there = k.program.cell("page is on the device", False)

    @k.thread
    def gpu() -> None:
        page.store(7)
        dmirror_migrate_to_device(device, page.vma, page.address)
        there.write(True)

    def read() -> None:
        there.wait(bool)
        if page.load() != 7:
            raise Violation("data corruption", "the page has lost its contents")

    k.thread(name="ann")(read)
    k.thread(name="bob")(read)


@scenario(source=HMM)
def page_goes_to_the_device_and_back(k: Kernel) -> None:
    """Nothing that a CPU writes is lost while the page goes to the device's memory and back."""
    page = k.mm().mmap(contents="page")
    device = Dmirror(k, page.mm)

    @k.thread
    def gpu() -> None:
        dmirror_migrate_to_device(device, page.vma, page.address)

    @k.thread
    def cpu() -> None:
        page.store(7)
        if page.load() != 7:
            raise Violation("data corruption", "the page has lost what was written to it")


REMOVE = "Alistair Popple, 2022: mm/mmu_notifier.c: fix race in mmu_interval_notifier_remove()"


@scenario(source=REMOVE, expect={"": "holds", "without interval_remove_locked": "use after free"})
def interval_removed_and_freed(k: Kernel) -> None:
    """An interval notifier may be freed as soon as it has been removed."""
    page = k.mm().mmap(contents="page")

    def invalidate(range: MmuNotifierRange) -> bool:
        mmu_interval_set_seq(notifier)
        return True

    start = page.address
    notifier = MmuIntervalNotifier(page.mm, "notifier", start, start + PAGE_SIZE, invalidate)
    k.thread(name="program")(page.dontneed)

    @k.thread
    def close() -> None:
        mmu_interval_notifier_remove(notifier)
        notifier.memory.free()


@scenario(source=HMM)
def interval_driver_ends_at_any_time(k: Kernel) -> None:
    """A driver with an interval notifier needs no release: all of it can end at any time.

    Its worker keeps the process in use while it is at work. Whoever closes the device waits for it,
    empties the device's page table, and only then removes the notifier, which takes the lock of the
    device.
    """
    page = k.mm().mmap(contents="page")
    device = Dmirror(k, page.mm)
    k.thread(name="exit", process=page)(lambda: None)

    def service() -> None:
        dmirror_migrate_to_device(device, page.vma, page.address)

    work = Work(k.program, "fault work", service, queued=True)
    k.thread(name="worker", daemon=True)(lambda: process_one_work(work))
    k.thread(name="gpu")(lambda: device_access(device, page.address, None))

    @k.thread
    def close() -> None:
        cancel_work_sync(work)
        device.pt[page.address].write(None)
        dmirror_fops_release(device)
        page.mm.pmd.wait(is_freed)


EVICT = "Alistair Popple, 2026: lib: test_hmm: evict device pages on file close; CVE-2026-46280"


@scenario(source=EVICT, expect={"": "use after free", "with test_hmm_evict": "holds"})
def device_is_closed_and_keeps_a_page(k: Kernel) -> None:
    """A CPU can fault on a page that is in the memory of a device that was closed."""
    page, device, there = _moved(k)

    @k.thread
    def program() -> None:
        there.wait(bool)
        dmirror_fops_release(device)
        page.load()


@scenario(
    source=f"a story of our own, after {EVICT}",
    expect={"": "use after free", "with test_hmm_evict": "use after free"},
)
def device_is_closed_during_a_fault(k: Kernel) -> None:
    """It can do so while the device is being closed.

    What is evicted is what can be locked at once, and a fault has the page locked already when it
    asks the device for it.
    """
    page, device, there = _moved(k)

    @k.thread
    def program() -> None:
        there.wait(bool)
        page.load()

    @k.thread
    def close() -> None:
        there.wait(bool)
        dmirror_fops_release(device)


def _moved(k: Kernel) -> tuple[Page, Dmirror, Cell[bool]]:
    """A page that goes to the device's memory first of all."""
    page = k.mm().mmap(contents="page")
    device = Dmirror(k, page.mm)
    there = k.program.cell("page is on the device", False)

    @k.thread
    def gpu() -> None:
        dmirror_migrate_to_device(device, page.vma, page.address)
        there.write(True)

    return page, device, there
