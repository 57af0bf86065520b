"""The structures of an address space (``include/linux/mm_types.h``).

A mapping (``VmArea``) can be split, moved and unmapped while a story runs, and a new one made in
memory that was set aside for it (``spare``). Where it is in the tree of mappings is its ``span``,
changed under mmap_lock for writing; the structure itself is freed when it is unmapped, and whoever
still reads it uses freed memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Mode, Names, atomic, renamed_in_order, running
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.pgtable import NONE, Pte
from refault.linux.include.linux.seqlock import SeqCount
from refault.linux.include.linux.slab import FREED, SlabField
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.rwsem import Rwsem
from refault.linux.kernel.locking.spinlock import SpinLock
from refault.linux.modelled import current_kernel

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
    from refault.linux.include.linux.fs import File
    from refault.linux.include.linux.mm import VmOperations
    from refault.linux.include.linux.mmu_notifier import NotifierSubscriptions
    from refault.linux.lib.maple_tree import MapleTree

__all__ = [
    "FaultFlag",
    "HugePmd",
    "MmStruct",
    "Pmd",
    "Vm",
    "VmArea",
    "VmFault",
    "VmFaultInfo",
    "VmSpan",
    "VmaLockState",
]


class Pmd(Enum):
    """What a PMD entry holds other than a huge page: a page table, or nothing."""

    NONE = "none"
    TABLE = "page table"
    FREED = "freed"


class HugePmd(NamedTuple):
    """A PMD entry that maps a huge page; ``protnone`` as in a PTE, so is ``write``."""

    pfn: int
    write: bool = False
    dirty: bool = False
    protnone: bool = False

    def __repr__(self) -> str:
        words = ["write" if self.write else "ro", *["dirty"] * self.dirty]
        return " ".join([f"huge pfn {self.pfn}", *words, *["protnone"] * self.protnone])


class VmaLockState(NamedTuple):
    """The per-VMA lock: its readers, and the writer that waits or holds.

    ``writer`` stands for the writer's offset in ``vm_refcnt``, which new readers meet while it
    waits, and then for the equality of ``vm_lock_seq`` and ``mm_lock_seq``, which keeps them out
    until the writer drops mmap_lock. ``detached`` is a ``vm_refcnt`` of zero: the VMA is no longer
    in the tree, and nobody can lock it.
    """

    readers: tuple[str, ...] = ()
    writer: str | None = None
    detached: bool = False

    def renamed(self, names: Names) -> VmaLockState:
        """The same for other tasks."""
        return renamed_in_order(self, names, "readers")

    def __repr__(self) -> str:
        if self.detached:
            return "detached"
        readers = f"r:{','.join(self.readers)}" if self.readers else ""
        writer = f"w:{self.writer}" if self.writer else ""
        return f"{readers} {writer}".strip() or "free"


def _vma_holders(lock: VmaLockState) -> dict[str, Mode]:
    if lock.readers:
        return dict.fromkeys(lock.readers, "r")
    return {lock.writer: "x"} if lock.writer else {}


class VmSpan(NamedTuple):
    """Which addresses a VMA covers, and which page of the file is at the first of them.

    For anonymous memory ``pgoff`` is the number of the page that the memory was first mapped at; it
    stays with it where it moves, and a folio is found again by it.
    """

    start: int
    end: int
    pgoff: int = 0

    def __repr__(self) -> str:
        return f"{self.start:#x}-{self.end:#x}"


FRESH = "memory without an anon_vma"
"""In the context of a program: the story begins with a mapping that has none yet."""


class VmArea:
    """``struct vm_area_struct``.

    ``vm_flags`` changes under mmap_lock and the VMA lock, both for writing; each fault reads it
    under one of them. So does ``uffd_ctx``, the name of the userfaultfd that the mapping is
    registered with. It has an anon_vma from the beginning, as memory that was touched before,
    unless the story says that it is fresh: a number, 0 for none. ``vm_file`` is None for anonymous
    memory; it does not change, so a spare VMA is for mappings of one file or of none.
    """

    def __init__(
        self,
        mm: MmStruct,
        index: int,
        *,
        flags: Vm | None,
        span: VmSpan | None = None,
        ctx: UserfaultfdCtx | None = None,
        file: File | None = None,
        anon_vma: bool = True,
    ) -> None:
        program = mm.program
        self.name = name = f"{mm.prefix}vma{index or ''}"
        self.vm_mm = mm
        self.vm_lock: Cell[VmaLockState] = program.cell(
            f"{name}.vm_lock", VmaLockState(detached=flags is None), holders=_vma_holders
        )
        self.vm_flags: SlabField[Vm] = SlabField(
            program, f"{name}.vm_flags", FREED if flags is None else flags
        )
        self.span: Cell[VmSpan | None] = program.cell(f"{name}.span", span)
        self.uffd_ctx: Cell[str] = program.cell(f"{name}.uffd_ctx", ctx.name if ctx else "")
        self.vm_file = file
        self.anon_vma: Cell[int] = program.cell(f"{name}.anon_vma", index + 1 if anon_vma else 0)
        if not anon_vma:
            program.context[FRESH] = True
        self._first = span

    @property
    def ctx(self) -> UserfaultfdCtx | None:
        """The userfaultfd that the mapping is registered with, as a kernel function reads it."""
        return current_kernel().uffd(self.uffd_ctx.read())

    @property
    def vm_ops(self) -> VmOperations | None:
        """The operations of the file that is mapped; None for anonymous memory."""
        return self.vm_file.vm_ops if self.vm_file else None

    def covered(self) -> VmSpan:
        """What the VMA covers now, nothing if it is not in the tree.

        Before the story begins, and after it, that is what it covers at the beginning.
        """
        return (self.span.read() if running() else self._first) or VmSpan(0, 0)

    @property
    def vm_start(self) -> int:
        """The first address."""
        return self.covered().start

    @property
    def vm_end(self) -> int:
        """The first address behind it."""
        return self.covered().end

    def addresses(self) -> Iterable[int]:
        """Return the address of each page."""
        span = self.covered()
        return range(span.start, span.end, PAGE_SIZE)

    def __repr__(self) -> str:
        return self.name


class MmStruct:
    """``struct mm_struct``: mmap_lock, the VMAs, and one page table with one lock.

    All pages of a scenario lie below one PMD entry, so they share a page-table lock; a lock for
    each page would only allow more of what the PTEs already see. ``vmas`` are all VMAs that there
    can be; those in the tree have a span. ``unstable`` is ``MMF_UNSTABLE``: the OOM reaper has
    begun to take memory away. ``write_protect_seq`` is what fork and ``pin_user_pages_fast()`` have
    between them. The ``family`` are all processes that may share anonymous pages: a process, its
    children and theirs. ``stack_tree`` are the nodes that the tree of VMAs is made of, in a
    process with a stack that grows. ``notifiers`` are those of who has mapped the memory in another
    page table; most processes have none.
    """

    def __init__(self, program: Program, name: str, pmd: Pmd | HugePmd = Pmd.TABLE) -> None:
        self.program = program
        self.name = name
        self.prefix = prefix = "" if name == "mm" else f"{name}."
        self.mmap_lock = Rwsem(program, f"{prefix}mmap_lock")
        self.ptl = SpinLock(program, f"{prefix}ptl", quiet=True)
        self.pmd: Cell[Pmd | HugePmd] = program.cell(f"{prefix}pmd", pmd)
        self.unstable: Cell[bool] = program.cell(f"{prefix}MMF_UNSTABLE", False)
        self.write_protect_seq = SeqCount(program, f"{prefix}write_protect_seq")
        self.stack_tree: MapleTree | None = None
        self.notifiers: NotifierSubscriptions | None = None
        self.vmas: list[VmArea] = []
        self.ptes: dict[int, Cell[Pte]] = {}
        self.family: list[MmStruct] = [self]
        self._top = PAGE_SIZE

    def add_room(self, ptes: tuple[Pte, ...]) -> int:
        """Set addresses aside, with a gap before what follows; returns the first."""
        start = self._top
        for offset, pte in enumerate(ptes):
            address = start + offset * PAGE_SIZE
            self.ptes[address] = self.program.cell(f"{self.prefix}pte({address:#x})", pte)
        self._top = start + (len(ptes) + 1) * PAGE_SIZE
        return start

    def add_vma(
        self,
        ptes: tuple[Pte, ...],
        flags: Vm,
        ctx: UserfaultfdCtx | None,
        file: File | None = None,
        *,
        pgoff: int = 0,
        anon_vma: bool = True,
    ) -> VmArea:
        """Map pages with these PTEs before the story begins."""
        start = self.add_room(ptes)
        first = pgoff if file else start // PAGE_SIZE
        span = VmSpan(start, start + len(ptes) * PAGE_SIZE, first)
        number = len(self.vmas)
        return self._add(
            VmArea(self, number, flags=flags, span=span, ctx=ctx, file=file, anon_vma=anon_vma)
        )

    def add_stack(self, flags: Vm, up: bool) -> VmArea:
        """Map one page of the two that a stack has room for: the lower one if it grows up."""
        start = self.add_room((NONE, NONE)) + (0 if up else PAGE_SIZE)
        span = VmSpan(start, start + PAGE_SIZE)
        return self._add(VmArea(self, len(self.vmas), flags=flags, span=span))

    def add_spare(self, file: File | None = None) -> VmArea:
        """Set a VMA aside for what is mapped while the story runs."""
        return self._add(VmArea(self, len(self.vmas), flags=None, file=file))

    def _add(self, vma: VmArea) -> VmArea:
        self.vmas.append(vma)
        if vma.vm_file:
            vma.vm_file.mapping.i_mmap.append(vma)
        return vma

    def find_vma(self, address: int) -> VmArea | None:
        """``vma_lookup()``: the VMA that covers an address, or None; one look at the tree."""
        with atomic():
            for vma in self.vmas:
                if vma.vm_start <= address < vma.vm_end:
                    return vma
        return None

    def pte(self, address: int) -> Cell[Pte]:
        """Return the cell of the PTE that maps ``address``."""
        return self.ptes[address]

    def __repr__(self) -> str:
        return self.name


class VmFaultInfo(NamedTuple):
    """``struct vm_fault``: a fault on its way down.

    ``vm_flags`` are the flags of the VMA as read under the fault lock, which keeps them as they
    are; ``orig_pte`` is the PTE as the lockless read saw it.
    """

    vma: VmArea
    address: int
    flags: FaultFlag
    vm_flags: Vm
    orig_pte: Pte = NONE
    pgoff: int = 0

    @property
    def mm(self) -> MmStruct:
        """The address space."""
        return self.vma.vm_mm

    @property
    def write(self) -> bool:
        """Whether it is a write."""
        return bool(self.flags & FaultFlag.WRITE)
