"""What memory a machine has: frames, swap, files, and what of them a story asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Mode, UserError
from refault.linux.arch.x86.include.asm.cpufeatures import X86Feature
from refault.linux.asm.tlb import Tlbs
from refault.linux.include.linux.fs import AddressSpace as Mapping
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.memremap import FIRST_DEVICE_POOL, DevPagemap
from refault.linux.include.linux.mm import VmOperations
from refault.linux.include.linux.mm_types import HugePmd, Pmd
from refault.linux.include.linux.page import HUGE_POOL, Folio, Frame
from refault.linux.kernel.locking.rwsem import Rwsem
from refault.linux.mm.filemap_fault import generic_file_vm_ops
from refault.linux.mm.shmem import ShmemFile
from refault.linux.mm.swapfile import SwapSlot

if TYPE_CHECKING:
    from collections.abc import Callable

    from refault.explore import Cell, Program
    from refault.linux.include.linux.mm_types import MmStruct, VmArea, VmFault, VmFaultInfo
    from refault.linux.task import Task

BOOT_CPU = -1
"""The CPU from whose lists the pages come that are there when a scenario begins."""

SWAP_SLOTS = 2


class FaultCounters(NamedTuple):
    """``task_struct.maj_flt`` and ``min_flt``."""

    maj_flt: Cell[int]
    min_flt: Cell[int]


class Memory:
    """The memory of a machine, and the settings that most stories leave alone."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.frames: dict[int, Frame] = {}
        self.files: dict[str, File] = {}
        self.swap: list[Cell[SwapSlot]] = [
            program.cell(f"swap slot {slot}", SwapSlot()) for slot in range(SWAP_SLOTS)
        ]
        self.swap_synchronous = False
        self.memory_runs_out = False
        self.cpu_features = X86Feature.FSRM | X86Feature.ERMS
        self.tlb: Tlbs | None = None
        self.fault_counters: dict[str, FaultCounters] = {}
        self.hugetlb_locks: dict[str, Rwsem] = {}
        self.hugetlb_mutexes: dict[str, Cell[str | None]] = {}
        self.pgmaps: dict[int, DevPagemap] = {}
        self._counting = False

    def add_frame(self, cpu: int, folio: Folio | None = None, data: int = 0) -> int:
        """Add a page frame to the lists of a CPU and return its number; 0 is the zero page."""
        pfn = len(self.frames) + 1
        self.frames[pfn] = Frame(self.program, pfn, cpu, folio, data)
        return pfn

    def ksm_page(self, data: int) -> int:
        """Return the number of a KSM page with these contents, mapped in some other process."""
        return self.add_frame(BOOT_CPU, Folio(refcount=1, mapcount=1, ksm=True), data)

    def tlbs(self) -> None:
        """Give each CPU a TLB, so that flushes matter; before any process or thread is made."""
        if self.tlb is None:
            self._too_late("k.tlbs()")
            self.tlb = Tlbs(self.program)

    def count_faults(self) -> None:
        """Let threads count their faults (``maj_flt``, ``min_flt``); before any is started."""
        self._too_late("k.count_faults()")
        self._counting = True

    def let_memory_run_out(self) -> None:
        """Let any allocation of a page fault fail, or not."""
        self.memory_runs_out = True

    def swap_to_zram(self) -> None:
        """Make the swap device one that answers at once."""
        self.swap_synchronous = True

    def device_memory(
        self, owner: str, migrate_to_ram: Callable[[VmFaultInfo, int, int], VmFault], pages: int = 1
    ) -> DevPagemap:
        """Give a device memory of its own, which faults bring pages back from."""
        pgmap = DevPagemap(owner, FIRST_DEVICE_POOL - len(self.pgmaps), migrate_to_ram)
        self.pgmaps[pgmap.pool] = pgmap
        for _ in range(pages):
            self.add_frame(pgmap.pool)
        return pgmap

    def huge_pages(self, number: int) -> None:
        """Put pages into the pool of hugetlb (``nr_hugepages``)."""
        for _ in range(number):
            self.add_frame(HUGE_POOL)

    def file(
        self,
        name: str = "file",
        *,
        pages: int = 1,
        cached: bool = True,
        vm_ops: VmOperations = generic_file_vm_ops,
        congested: bool = False,
    ) -> File:
        """Make a file for ``AddressSpace.mmap()``, of zeroes, in the page cache or not yet.

        ``vm_ops`` is what its mappings are given in place of an ordinary file system's. While it
        is ``congested`` whoever dirties its pages is held back, until ``file.congested`` is false.
        """
        mapping = self._mapping(name, pages, cached)
        slow = self.program.cell(f"{name}.congested", True) if congested else None
        self.files[name] = file = File(mapping, vm_ops, slow)
        return file

    def tmpfs_file(self, name: str = "file", *, pages: int = 1, cached: bool = True) -> ShmemFile:
        """Make a file of tmpfs; where it is not ``cached`` it has a hole."""
        file = ShmemFile(self.program, name, self._mapping(name, pages, cached))
        self.files[name] = file
        return file

    def first_pmd(self, thp: str | None) -> Pmd | HugePmd:
        """What the PMD entry of a new process holds."""
        if thp is None:
            return Pmd.TABLE
        if thp not in ("", "huge page"):
            raise UserError(f"thp cannot be {thp!r}", "say 'huge page', '' or None")
        if not thp:
            return Pmd.NONE
        folio = Folio(refcount=1, mapcount=1, exclusive=True)
        return HugePmd(self.add_frame(BOOT_CPU, folio), write=True, dirty=True)

    def _mapping(self, name: str, pages: int, cached: bool) -> Mapping:
        if name in self.files:
            raise UserError(f"two files are called {name}", "give one of them another name")
        frames = {}
        for index in range(pages if cached else 0):
            frames[index] = self.add_frame(BOOT_CPU, Folio(refcount=1, mapping=(name, index)))
        return Mapping(self.program, name, pages, frames)

    def _too_late(self, what: str) -> None:
        if self.frames:
            raise UserError(f"{what} comes too late", "call it before processes and threads begin")

    def add_task(self, task: Task, frames: int) -> None:
        """Give a new thread's CPU its pages and its TLB, and the thread its counters."""
        if not any(frame.cpu == task.cpu for frame in self.frames.values()):
            for _ in range(frames):
                self.add_frame(task.cpu)
        if self.tlb is not None:
            self.tlb.add_cpu(task.cpu)
        if self._counting:
            self.fault_counters[task.name] = FaultCounters(
                self.program.cell(f"{task.name}.maj_flt", 0),
                self.program.cell(f"{task.name}.min_flt", 0),
            )

    def add_mm(self, mm: MmStruct) -> None:
        """Let a new process have what goes with TLBs."""
        if self.tlb is not None:
            self.tlb.add_mm(mm)

    def add_hugetlb(self, vma: VmArea) -> None:
        """Give a hugetlb mapping its lock, and its process the mutex of faults."""
        mm = vma.vm_mm
        self.hugetlb_locks[vma.name] = Rwsem(self.program, f"{vma.name}.hugetlb_vma_lock")
        if mm.name not in self.hugetlb_mutexes:
            self.hugetlb_mutexes[mm.name] = self.program.cell(
                f"{mm.prefix}hugetlb_fault_mutex", None, holders=_holder
            )


def _holder(owner: str | None) -> dict[str, Mode]:
    return {owner: "x"} if owner else {}
