"""What user programs hold: pages of their memory, and a userfaultfd.

The handles of a scenario. Each method is one instruction or one system call of the thread that
calls it, or, where it says so, a kernel thread's work on that page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import UserError
from refault.linux.arch import mmu as cpu
from refault.linux.fs.userfaultfd.fault import userfaultfd_must_wait
from refault.linux.include.linux.mm_types import FaultFlag, MmStruct, Vm, VmArea, VmFaultInfo
from refault.linux.include.linux.page import Folio
from refault.linux.include.linux.pgtable import NONE, ZERO_PFN, Pte, mk_pte, ptep_get
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.entry.common import system_call
from refault.linux.memory import BOOT_CPU
from refault.linux.mm.khugepaged import hpage_collapse_scan_pmd
from refault.linux.mm.ksm import try_to_merge_with_ksm_page
from refault.linux.mm.madvise import madvise_dontneed_free
from refault.linux.mm.mempolicy import task_numa_work
from refault.linux.mm.migrate import migrate_pages
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    release_fault_lock,
    vma_start_read,
)
from refault.linux.mm.mprotect import do_mprotect_pkey
from refault.linux.mm.userfaultfd.mfill import COPIED
from refault.linux.mm.vmscan import shrink_folio_list
from refault.linux.modelled import NotModelled
from refault.linux.uffd import UserFaultFd

if TYPE_CHECKING:
    from refault.linux.machine import Kernel


__all__ = ["BOOT_CPU", "COPIED", "AddressSpace", "Page", "UserFaultFd"]


class Page:
    """A page of anonymous memory, by its address."""

    def __init__(self, kernel: Kernel, vma: VmArea, address: int) -> None:
        self.kernel = kernel
        self.vma = vma
        self.mm: MmStruct = vma.vm_mm
        self.address = address

    def __getitem__(self, index: int) -> Page:
        """The page ``index`` pages behind this one, in the same mapping."""
        address = self.address + index * PAGE_SIZE
        if not self.vma.vm_start <= address < self.vma.vm_end:
            raise UserError(f"{self.vma} has no page {index}", "map more: mmap(pages=…)")
        return Page(self.kernel, self.vma, address)

    def store(self, value: int) -> None:
        """Write to the page."""
        cpu.store(self.mm, self.address, value)

    def load(self) -> int:
        """Read from the page."""
        return cpu.load(self.mm, self.address)

    def must_wait(self) -> bool:
        """What ``userfaultfd_must_wait()`` says of the page, to a fault that holds its lock."""
        ctx = self.vma.ctx
        if ctx is None:
            raise NotModelled("a userfault on memory that no userfaultfd has")
        vmf = VmFaultInfo(self.vma, self.address, FaultFlag.VMA_LOCK, Vm.NONE)
        vma_start_read(self.vma)
        answer = userfaultfd_must_wait(ctx, vmf, Vm.UFFD_MISSING)
        release_fault_lock(vmf)
        return answer

    @system_call
    def is_protected(self) -> bool:
        """Whether userfaultfd has write-protected the page, as ``/proc/pid/pagemap`` tells."""
        mmap_read_lock(self.mm)
        protected = ptep_get(self.mm.pte(self.address)).uffd_wp
        mmap_read_unlock(self.mm)
        return protected

    @system_call
    def mprotect(self, prot: Vm) -> None:
        """``mprotect(2)`` of the mapping."""
        do_mprotect_pkey(self.vma, prot)

    @system_call
    def dontneed(self) -> int:
        """``madvise(MADV_DONTNEED)`` of the page: returns 0 or -errno."""
        return madvise_dontneed_free(self.vma, self.address)

    def numa_scan(self) -> None:
        """NUMA balancing marks the page, in a thread of the process on its way to user mode."""
        task_numa_work(self.vma, self.address)

    def migrate(self) -> None:
        """A kernel thread moves the page to another frame."""
        migrate_pages(self.mm, self.address)

    def reclaim(self) -> None:
        """A kernel thread swaps the page out."""
        shrink_folio_list(self.mm, self.address)

    def ksm_merge(self, kpage: int) -> None:
        """``ksmd`` maps a KSM page in its place, if the contents are equal."""
        try_to_merge_with_ksm_page(self.vma, self.address, kpage)

    def collapse(self) -> None:
        """``khugepaged`` tries to put a huge page in the place of it and its neighbours."""
        hpage_collapse_scan_pmd(self.vma, self.address)


class AddressSpace:
    """A process, as its threads see it."""

    def __init__(self, kernel: Kernel, mm: MmStruct) -> None:
        self.kernel = kernel
        self.mm = mm

    def mmap(
        self,
        prot: Vm = Vm.READ | Vm.WRITE,
        *,
        uffd: UserFaultFd | None = None,
        missing: bool = True,
        wp: bool = False,
        contents: str = "",
        protected: bool = False,
        pages: int = 1,
    ) -> Page:
        """Map a page of private anonymous memory in a VMA of its own, registered with ``uffd``.

        Of several ``pages`` the first is returned, ``page[1]`` is the one behind it. ``contents``
        says what is there when the scenario begins: nothing, a ``"zero page"``, or a
        ``"page"`` of its own, which is written, exclusive and long on the LRU list; ``protected``,
        that userfaultfd has write-protected it.
        """
        flags = prot | Vm.MAYWRITE
        if uffd is not None:
            if uffd.ctx.mm is not self.mm:
                raise UserError(
                    f"{uffd.ctx} belongs to {uffd.ctx.mm} and cannot serve {self.mm}",
                    "open a userfaultfd for this process",
                )
            flags |= Vm.UFFD_MISSING if missing else Vm.NONE
            flags |= Vm.UFFD_WP if wp else Vm.NONE
        ctx = uffd.ctx if uffd else None
        ptes = tuple(self._pte(contents, prot, protected) for _ in range(pages))
        vma = self.mm.add_vma(ptes, flags, ctx)
        return Page(self.kernel, vma, vma.vm_start)

    def _pte(self, contents: str, prot: Vm, protected: bool) -> Pte:
        if contents == "zero page":
            return mk_pte(ZERO_PFN, uffd_wp=protected)
        if contents == "page":
            folio = Folio(refcount=1, mapcount=1, exclusive=True)
            pfn = self.kernel.add_frame(BOOT_CPU, folio)
            return mk_pte(pfn, write=bool(prot & Vm.WRITE), dirty=True, uffd_wp=protected)
        if contents:
            raise UserError(f"a page cannot hold {contents!r}", "say 'page', 'zero page' or ''")
        return NONE
