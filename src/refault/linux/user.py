"""What user programs hold: pages of their memory.

The handles of a scenario. Each method is one instruction or one system call of the thread that
calls it, or, where it says so, a kernel thread's work on that page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import UserError
from refault.linux.arch import mmu as cpu
from refault.linux.fs.userfaultfd.fault import userfaultfd_must_wait
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import FaultFlag, MmStruct, Vm, VmArea, VmFaultInfo
from refault.linux.include.linux.page import frame
from refault.linux.include.linux.pgtable import Pte, ptep_get
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.entry.common import system_call
from refault.linux.mm.gup.fast import get_user_pages_fast, pin_user_pages_fast
from refault.linux.mm.gup.pages import put_page, unpin_user_page
from refault.linux.mm.khugepaged import hpage_collapse_scan_pmd
from refault.linux.mm.ksm import try_to_merge_with_ksm_page
from refault.linux.mm.madvise import (
    madvise_dontneed_free,
    madvise_free_single_vma,
    madvise_guard_install,
    madvise_guard_remove,
)
from refault.linux.mm.mempolicy import task_numa_work
from refault.linux.mm.migrate import migrate_pages
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    release_fault_lock,
    vma_start_read,
)
from refault.linux.mm.mmap_region import __mmap_region as mmap_region
from refault.linux.mm.mprotect import do_mprotect_pkey
from refault.linux.mm.mremap import do_mremap
from refault.linux.mm.userfaultfd.mfill import COPIED
from refault.linux.mm.vma import __vm_munmap as vm_munmap
from refault.linux.mm.vmscan import shrink_folio_list
from refault.linux.modelled import NotModelled

if TYPE_CHECKING:
    from refault.linux.machine import Kernel
    from refault.linux.process import AddressSpace


__all__ = ["COPIED", "Page", "Pinned"]


class Pinned(NamedTuple):
    """A page that a device or a pipe has hold of: its frame, however the memory is mapped by now.

    ``pfn`` is -1 where there was no page to be had.
    """

    pfn: int
    longterm: bool = True

    def read(self) -> int:
        """Read what is in the frame, as the device does."""
        return frame(self.pfn).data.read()

    def write(self, value: int) -> None:
        """Write to the frame, as the device does."""
        frame(self.pfn).data.write(value)

    def release(self) -> None:
        """Let go of the page."""
        (unpin_user_page if self.longterm else put_page)(self.pfn)


class Page:
    """A page of memory, by its address.

    ``vma`` is the mapping in which it begins.
    """

    def __init__(self, kernel: Kernel, vma: VmArea, address: int) -> None:
        self.kernel = kernel
        self.vma = vma
        self.mm: MmStruct = vma.vm_mm
        self.address = address

    def __getitem__(self, index: int) -> Page:
        """The page ``index`` pages behind this one, in the same mapping."""
        address = self.address + index * PAGE_SIZE
        if address not in self.mm.ptes:
            raise UserError(f"{self.vma} has no page {index}", "map more: mmap(pages=…)")
        return Page(self.kernel, self.vma, address)

    def pte(self) -> Pte:
        """What the page table has here, to one look without a lock."""
        return self.mm.pte(self.address).read()

    def store(self, value: int) -> None:
        """Write to the page."""
        cpu.store(self.mm, self.address, value)

    def load(self) -> int:
        """Read from the page."""
        return cpu.load(self.mm, self.address)

    @system_call
    def get_user(self) -> int:
        """A system call reads from the page: returns the word, or -EFAULT."""
        return cpu.get_user(self.mm, self.address)

    @system_call
    def put_user(self, value: int) -> int:
        """A system call writes to the page: returns 0 or -EFAULT."""
        return cpu.put_user(self.mm, self.address, value)

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
    def mprotect(self, prot: Vm, pages: int = 0) -> int:
        """``mprotect(2)`` of so many pages, by default of the mapping; returns 0 or -errno."""
        if pages:
            return do_mprotect_pkey(self.mm, self.address, self._end(pages), prot)
        return do_mprotect_pkey(self.mm, self.vma.vm_start, self.vma.vm_end, prot)

    def _end(self, pages: int) -> int:
        return self.address + pages * PAGE_SIZE

    @system_call
    def dontneed(self, pages: int = 1) -> int:
        """``madvise(MADV_DONTNEED)`` of the page, or so many: returns 0 or -errno."""
        return madvise_dontneed_free(self.mm, self.address, self._end(pages))

    @system_call
    def madv_free(self, pages: int = 1) -> int:
        """``madvise(MADV_FREE)`` of the page, or so many: returns 0 or -errno.

        Reclaim may drop it unless it is written again.
        """
        return madvise_free_single_vma(self.mm, self.address, self._end(pages))

    @system_call
    def guard(self, pages: int = 1) -> int:
        """``madvise(MADV_GUARD_INSTALL)``: an access is SIGSEGV from then on; 0 or -errno."""
        return madvise_guard_install(self.mm, self.address, self._end(pages))

    @system_call
    def unguard(self, pages: int = 1) -> int:
        """``madvise(MADV_GUARD_REMOVE)``: returns 0 or -errno."""
        return madvise_guard_remove(self.mm, self.address, self._end(pages))

    @system_call
    def munmap(self, pages: int = 1) -> int:
        """``munmap(2)`` of the page, or so many: returns 0. It may cut a mapping in two."""
        return vm_munmap(self.mm, self.address, self._end(pages))

    @system_call
    def mmap_fixed(self, pages: int = 1, prot: Vm | None = None) -> int:
        """``mmap(MAP_FIXED)`` of fresh memory in its place: returns 0.

        With a ``prot`` it is private and anonymous, without it is of the same kind as the mapping.
        """
        if prot is None:
            flags, file = self.vma.vm_flags.read() & ~Vm.UFFD, self.vma.vm_file
        else:
            flags = prot | Vm.MAYWRITE | (Vm.ACCOUNT if prot & Vm.WRITE else Vm.NONE)
            file = None
        return mmap_region(self.mm, self.address, self._end(pages), flags, file)

    @system_call
    def mremap(self, to: Page, pages: int = 1, *, keep: bool = False) -> int:
        """``mremap(MREMAP_FIXED)``: returns the new address, or -errno.

        What is there is unmapped; ``AddressSpace.room()`` leaves room. To ``keep`` is
        MREMAP_DONTUNMAP.
        """
        return do_mremap(self.mm, self.address, to.address, pages * PAGE_SIZE, keep=keep)

    def add(self, by: int) -> None:
        """Add to what is in the page, in one locked instruction, which writes even a 0."""
        cpu.add(self.mm, self.address, by)

    @system_call
    def pin(self, *, write: bool = False, longterm: bool = True) -> Pinned:
        """Let a device or a pipe have the page: ``pin_user_pages_fast()``.

        ``write`` is whether it is going to write; not ``longterm`` is a mere reference, as
        ``vmsplice(2)`` takes one (``get_user_pages_fast()``).
        """
        foll = Foll.WRITE if write else Foll.NONE
        get = pin_user_pages_fast if longterm else get_user_pages_fast
        got = get(self.mm, self.address, 1, foll)
        return Pinned(got.pfns[0] if got.pfns else -1, longterm)

    def of(self, child: AddressSpace) -> Page:
        """The page of the same address in a child of the process."""
        return Page(self.kernel, child.mm.vmas[0], self.address)

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
