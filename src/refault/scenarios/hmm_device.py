"""A device that shares the memory of a process, as stories of HMM tell of one.

It has a fault buffer, a worker that services it by moving the page to the device's own memory, and
a page table with one entry. What it does when the process ends, and whether its worker keeps
the process alive meanwhile, is up to the story.
"""

from __future__ import annotations

from refault.explore import atomic
from refault.linux import Kernel
from refault.linux.include.linux.hmm import Hmm, HmmMirror, HmmMirrorOps
from refault.linux.include.linux.mm_types import HugePmd, Pmd, VmFault, VmFaultInfo
from refault.linux.include.linux.mmu_notifier import (
    MmuNotifier,
    MmuNotifierOps,
    MmuNotifierRange,
)
from refault.linux.include.linux.page import alloc_page, folio_of, frame
from refault.linux.include.linux.pgtable import Pte
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.fork import __mmput as final_mmput
from refault.linux.kernel.fork import get_task_mm, mmput_async, put_task_mm
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock
from refault.linux.kernel.workqueue import Work, cancel_work_sync, process_one_work
from refault.linux.mm.filemap import folio_lock
from refault.linux.mm.migrate_device import (
    MigrateVma,
    alloc_device_page,
    migrate_vma_finalize,
    migrate_vma_pages,
    migrate_vma_setup,
)
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.user import Page


def is_freed(pmd: Pmd | HugePmd) -> bool:
    """Whether the page tables of a process are gone: what somebody may wait for."""
    return pmd is Pmd.FREED


def _mapped(page: Page) -> int:
    """The frame that a page has when the story begins."""
    pte: Pte = page.mm.pte(page.address).values[0]
    return pte.pfn


class Device:
    """A device with a page of the process in its fault buffer.

    ``drains``: its release waits for the worker, else it only makes it stop. ``mmget``: the worker
    keeps the process in use while it is at work, and leaves the rest to another one if it turns out
    to be the last user (``mmput_async()``), unless it is ``hasty``. ``locked``: the worker and the
    release both take the lock of the device. Without a ``worker`` the story does its work. Where it
    ``maps`` the page, it has it in its page table from the beginning.
    """

    def __init__(
        self,
        k: Kernel,
        page: Page,
        *,
        drains: bool = True,
        mmget: bool = False,
        hasty: bool = False,
        locked: bool = False,
        worker: bool = True,
        maps: bool = False,
    ) -> None:
        self.page = page
        self.mm = page.mm
        self.drains = drains
        self.mmget = mmget
        self.hasty = hasty
        self.lock = Mutex(k.program, "device_lock") if locked else None
        self.pgmap = k.device_memory("gpu", self.migrate_to_ram)
        self.dead = k.program.cell("gpu.dead", False)
        self.entry = k.program.cell("gpu.pte", _mapped(page) if maps else 0)
        self.work = Work(k.program, "fault work", self.service, queued=worker)
        self.mmput = Work(k.program, "async mmput", lambda: final_mmput(page.mm))
        if mmget and not hasty:
            k.thread(name="kworker", daemon=True)(lambda: process_one_work(self.mmput))
        if worker:
            k.thread(name="worker", daemon=True)(lambda: process_one_work(self.work))

    def mirror(self, hmm: Hmm, name: str = "mirror", *, registered: bool = True) -> HmmMirror:
        """Be told by way of HMM."""
        ops = HmmMirrorOps(self.sync, self.release)
        return HmmMirror(hmm, name, ops, registered=registered)

    def notifier(self, name: str = "notifier") -> MmuNotifier:
        """Be told by a notifier of its own."""
        return MmuNotifier(self.mm, name, MmuNotifierOps(self.release, self._start))

    def _start(self, range: MmuNotifierRange) -> int:
        self.sync(range)
        return 0

    def sync(self, range: MmuNotifierRange) -> None:
        """Forget a range."""
        if self.entry.read():
            self.entry.write(0)

    def release(self) -> None:
        """The process ends."""
        self._lock()
        self.dead.write(True)
        self._unlock()
        if self.drains:
            cancel_work_sync(self.work)
        if self.entry.read():
            self.entry.write(0)

    def access(self) -> None:
        """What the device does with the page, if it has it in its page table."""
        with atomic():
            pfn = self.entry.read()
            if pfn:
                folio_of(pfn)

    def service(self) -> None:
        """Take the fault from the buffer, and have the page moved."""
        self._lock()
        if not self.dead.read() and (not self.mmget or get_task_mm(self.mm)):
            self.fault()
            if self.hasty:
                put_task_mm(self.mm)
            elif self.mmget:
                mmput_async(self.mm, self.mmput)
        self._unlock()

    def fault(self) -> None:
        """Move the page to the device and map it there."""
        mmap_read_lock(self.mm)
        if self.mm.find_vma(self.page.address) is not None:
            self.migrate()
        mmap_read_unlock(self.mm)

    def migrate(self) -> None:
        """``migrate_vma()`` of the page, and the device's page-table entry for it."""
        start = self.page.address
        args = MigrateVma(self.page.vma, start, start + PAGE_SIZE, "gpu", self.pgmap.pool)
        pages = migrate_vma_setup(args)
        copied = [page._replace(dst=self._copy(page.src)) for page in pages if page.src]
        pages = migrate_vma_pages(args, tuple(copied))
        for page in pages:
            if page.migrate:
                folio_of(page.dst)
                self.entry.write(page.dst)
        migrate_vma_finalize(args, pages)

    def _copy(self, src: int) -> int:
        dst = alloc_device_page(self.pgmap.pool)
        if dst:
            frame(dst).data.write(frame(src).data.read())
        return dst

    def migrate_to_ram(self, vmf: VmFaultInfo, pfn: int, locked: int) -> VmFault:
        """Bring the page back for a CPU that has faulted on it; looks into the page's own data."""
        folio_of(pfn)
        start = vmf.address
        args = MigrateVma(
            vmf.vma, start, start + PAGE_SIZE, "gpu", self.pgmap.pool, back=True, fault_pfn=locked
        )
        copied = []
        for page in migrate_vma_setup(args):
            dst = alloc_page()
            folio_lock(dst)
            frame(dst).data.write(frame(page.src).data.read())
            copied.append(page._replace(dst=dst))
        pages = migrate_vma_pages(args, tuple(copied))
        migrate_vma_finalize(args, pages)
        return VmFault.NONE

    def _lock(self) -> None:
        if self.lock is not None:
            mutex_lock(self.lock)

    def _unlock(self) -> None:
        if self.lock is not None:
            mutex_unlock(self.lock)
