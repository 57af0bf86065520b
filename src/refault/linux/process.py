"""A process, as a story makes it: what is mapped where when the story begins, and its children."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import UserError
from refault.linux.arch.stack import Find
from refault.linux.arch.table import entry
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_types import MmStruct, Vm
from refault.linux.include.linux.page import Folio
from refault.linux.include.linux.pgtable import (
    NONE,
    ZERO_PFN,
    Pte,
    PteMarker,
    make_pte_marker,
    mk_pte,
)
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.entry.common import system_call
from refault.linux.lib.maple_tree import MapleTree, mt_free_rcu
from refault.linux.memory import BOOT_CPU
from refault.linux.mm.dup_mmap import dup_mmap
from refault.linux.mm.oom_kill import oom_reap_task_mm
from refault.linux.user import Page

if TYPE_CHECKING:
    from refault.explore import Cell
    from refault.linux.machine import Kernel
    from refault.linux.uffd import UserFaultFd


_MARKERS = {"guard page": PteMarker.GUARD, "poisoned page": PteMarker.POISONED}


class AddressSpace:
    """A process, as its threads see it."""

    def __init__(
        self, kernel: Kernel, mm: MmStruct, born: Cell[bool] | None = None, *, thp: bool = False
    ) -> None:
        self.kernel = kernel
        self.mm = mm
        self._thp = thp
        self._born = born

    def mmap(
        self,
        prot: Vm = Vm.READ | Vm.WRITE,
        *,
        uffd: UserFaultFd | None = None,
        missing: bool = True,
        wp: bool = False,
        minor: bool = False,
        contents: str = "",
        protected: bool = False,
        pages: int = 1,
        file: File | None = None,
        shared: bool = False,
        pgoff: int = 0,
        hugetlb: bool = False,
        fresh: bool = False,
    ) -> Page:
        """Map a page in a VMA of its own, registered with ``uffd``: private anonymous memory.

        Of several ``pages`` the first is returned, ``page[1]`` is the one behind it. ``contents``
        says what is there when the scenario begins: nothing, a ``"zero page"``, or a
        ``"page"`` of its own, which is written, exclusive and long on the LRU list, a ``"guard
        page"`` of ``MADV_GUARD_INSTALL`` or a ``"poisoned page"`` of ``UFFDIO_POISON``;
        ``protected``, that userfaultfd has write-protected it.

        Or a mapping of a ``file`` from its page ``pgoff`` on, private unless ``shared``; or of
        ``hugetlb`` pages. Memory that is ``fresh`` has no anon_vma yet. In a process with
        transparent huge pages the mapping wants them.
        """
        flags = prot | Vm.MAYWRITE
        if fresh and prot & Vm.WRITE and not shared and not hugetlb:
            flags |= Vm.ACCOUNT
        flags |= Vm.SHARED if shared else Vm.NONE
        flags |= Vm.HUGETLB if hugetlb else Vm.NONE
        flags |= Vm.HUGEPAGE if self._thp else Vm.NONE
        if uffd is not None:
            if uffd.ctx.mm is not self.mm:
                raise UserError(
                    f"{uffd.ctx} belongs to {uffd.ctx.mm} and cannot serve {self.mm}",
                    "open a userfaultfd for this process",
                )
            flags |= Vm.UFFD_MISSING if missing else Vm.NONE
            flags |= Vm.UFFD_WP if wp else Vm.NONE
            flags |= Vm.UFFD_MINOR if minor else Vm.NONE
        ctx = uffd.ctx if uffd else None
        ptes = tuple(self._pte(contents, prot, protected) for _ in range(pages))
        vma = self.mm.add_vma(
            ptes, flags, ctx, file, pgoff=pgoff, anon_vma=not fresh and file is None
        )
        if hugetlb:
            self.kernel.add_hugetlb(vma)
        return Page(self.kernel, vma, vma.vm_start)

    def stack(self, prot: Vm = Vm.READ | Vm.WRITE) -> tuple[Page, Page]:
        """Map a stack of one page; returns it, and the page next to it that it can grow into.

        Where it grows to is up to the architecture. A kernel thread frees for RCU what growing it
        replaces.
        """
        up = entry(self.kernel.arch).find is Find.UP
        mm = self.mm
        mm.stack_tree = MapleTree(mm.program, f"{mm.prefix}mm_mt")
        vma = mm.add_stack(prot | Vm.MAYWRITE | (Vm.GROWSUP if up else Vm.GROWSDOWN), up)
        tree = mm.stack_tree
        self.kernel.thread(name=f"{mm.prefix}rcu", daemon=True)(lambda: mt_free_rcu(tree))
        page = Page(self.kernel, vma, vma.vm_start)
        beside = page.address + (PAGE_SIZE if up else -PAGE_SIZE)
        return page, Page(self.kernel, vma, beside)

    def room(self, pages: int = 1, *, file: File | None = None) -> Page:
        """Leave room for ``mremap()``, for a mapping of ``file`` or of anonymous memory."""
        vma = self.mm.add_spare(file)
        return Page(self.kernel, vma, self.mm.add_room((NONE,) * pages))

    def spare(self, number: int = 1, *, file: File | None = None) -> None:
        """Set VMAs of a file or of anonymous memory aside, for mappings that are cut in two."""
        for _ in range(number):
            self.mm.add_spare(file)

    def child(self, name: str = "child") -> AddressSpace:
        """Set a child aside for ``fork()``, with room for all that is mapped so far."""
        kernel = self.kernel
        mm = MmStruct(kernel.program, name)
        kernel.mms.append(mm)
        kernel.add_mm(mm)
        self.mm.family.append(mm)
        mm.family = self.mm.family
        for address in self.mm.ptes:
            mm.ptes[address] = kernel.program.cell(f"{mm.prefix}pte({address:#x})", NONE)
        for vma in self.mm.vmas:
            mm.add_spare(vma.vm_file)
        kernel.add_fork_uffds(self.mm, mm)
        return AddressSpace(kernel, mm, kernel.program.cell(f"{name} is born", False))

    @system_call
    def fork(self, child: AddressSpace) -> None:
        """``fork(2)``: copy the address space for a child that was set aside."""
        if child._born is None:
            raise UserError(f"{child.mm} is no child", "make it with process.child()")
        dup_mmap(child.mm, self.mm, child._born)

    def is_born(self) -> None:
        """Wait for the fork: what the first thread of a child begins with."""
        if self._born is None:
            raise UserError(f"{self.mm} is no child", "make it with process.child()")
        self._born.wait(bool)

    def oom_reap(self) -> None:
        """The OOM reaper takes the memory of the process away."""
        oom_reap_task_mm(self.mm)

    def _pte(self, contents: str, prot: Vm, protected: bool) -> Pte:
        if contents == "zero page":
            return mk_pte(ZERO_PFN, uffd_wp=protected)
        if contents == "page":
            folio = Folio(refcount=1, mapcount=1, exclusive=True)
            pfn = self.kernel.add_frame(BOOT_CPU, folio)
            return mk_pte(pfn, write=bool(prot & Vm.WRITE), dirty=True, uffd_wp=protected)
        if contents in _MARKERS:
            return make_pte_marker(_MARKERS[contents])
        if contents:
            known = ", ".join(map(repr, ("page", "zero page", *_MARKERS)))
            raise UserError(f"a page cannot hold {contents!r}", f"say {known} or ''")
        return NONE
