"""Fault flags, results, and the structures of an address space (``include/linux/mm_types.h``)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntFlag
from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Mode
from refault.linux.include.linux.pgtable import NONE, Pte
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.rwsem import Rwsem
from refault.linux.kernel.locking.spinlock import SpinLock
from refault.linux.modelled import current_kernel

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx


class FaultFlag(IntFlag):
    """``enum fault_flag``: what kind of access faulted, and what its handler may do."""

    NONE = 0
    WRITE = 0x1
    MKWRITE = 0x2
    ALLOW_RETRY = 0x4
    RETRY_NOWAIT = 0x8
    KILLABLE = 0x10
    TRIED = 0x20
    USER = 0x40
    REMOTE = 0x80
    INSTRUCTION = 0x100
    INTERRUPTIBLE = 0x200
    UNSHARE = 0x400
    ORIG_PTE_VALID = 0x800
    VMA_LOCK = 0x1000
    DEFAULT = 0x214


class VmFault(IntFlag):
    """``enum vm_fault_reason``: what a fault handler returns."""

    NONE = 0
    OOM = 0x1
    SIGBUS = 0x2
    MAJOR = 0x4
    HWPOISON = 0x10
    HWPOISON_LARGE = 0x20
    SIGSEGV = 0x40
    NOPAGE = 0x100
    LOCKED = 0x200
    RETRY = 0x400
    FALLBACK = 0x800
    DONE_COW = 0x1000
    NEEDDSYNC = 0x2000
    COMPLETED = 0x4000
    ERROR = 0x873


class Vm(IntFlag):
    """``vm_area_struct.vm_flags``, as far as the model uses them."""

    NONE = 0
    READ = 0x1
    WRITE = 0x2
    EXEC = 0x4
    MAYWRITE = 0x20
    SHARED = 0x8
    UFFD_MISSING = 0x200
    UFFD_WP = 0x1000
    MERGEABLE = 0x80000000
    UFFD_MINOR = 1 << 41
    UFFD = UFFD_MISSING | UFFD_WP | UFFD_MINOR


class Pmd(Enum):
    """What a PMD entry holds: a page table, or nothing while one is being replaced."""

    NONE = "none"
    TABLE = "page table"


class VmaLockState(NamedTuple):
    """The per-VMA lock: its readers, and the writer that waits or holds.

    ``writer`` stands for the writer's offset in ``vm_refcnt``, which new readers meet while it
    waits, and then for the equality of ``vm_lock_seq`` and ``mm_lock_seq``, which keeps them out
    until the writer drops mmap_lock.
    """

    readers: tuple[str, ...] = ()
    writer: str | None = None

    def __repr__(self) -> str:
        readers = f"r:{','.join(self.readers)}" if self.readers else ""
        writer = f"w:{self.writer}" if self.writer else ""
        return f"{readers} {writer}".strip() or "free"


def _vma_holders(lock: VmaLockState) -> dict[str, Mode]:
    if lock.readers:
        return dict.fromkeys(lock.readers, "r")
    return {lock.writer: "x"} if lock.writer else {}


class VmArea:
    """``struct vm_area_struct``: a private anonymous mapping.

    ``vm_flags`` changes under mmap_lock and the VMA lock, both for writing; each fault reads it
    under one of them. So does ``uffd_ctx``, the name of the userfaultfd that the mapping is
    registered with, if it is: there is one iff ``vm_flags`` has one of the userfaultfd modes. It
    has an anon_vma from the beginning, as memory that was touched before.
    """

    def __init__(
        self,
        name: str,
        mm: MmStruct,
        start: int,
        pages: int,
        *,
        flags: Vm,
        ctx: UserfaultfdCtx | None,
    ) -> None:
        program = mm.program
        self.name = name
        self.vm_mm = mm
        self.vm_start = start
        self.vm_end = start + pages * PAGE_SIZE
        self.vm_lock: Cell[VmaLockState] = program.cell(
            f"{name}.vm_lock", VmaLockState(), holders=_vma_holders
        )
        self.vm_flags: Cell[Vm] = program.cell(f"{name}.vm_flags", flags)
        self.uffd_ctx: Cell[str] = program.cell(f"{name}.uffd_ctx", ctx.name if ctx else "")

    @property
    def ctx(self) -> UserfaultfdCtx | None:
        """The userfaultfd that the mapping is registered with, as a kernel function reads it."""
        return current_kernel().uffd(self.uffd_ctx.read())

    def addresses(self) -> Iterable[int]:
        """Return the address of each page."""
        return range(self.vm_start, self.vm_end, PAGE_SIZE)

    def __repr__(self) -> str:
        return self.name


class MmStruct:
    """``struct mm_struct``: mmap_lock, the VMAs, and one page table with one lock.

    All pages of a scenario lie below one PMD entry, so they share a page-table lock; a lock for
    each page would only allow more of what the PTEs already see.
    """

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.name = name
        self.prefix = prefix = "" if name == "mm" else f"{name}."
        self.mmap_lock = Rwsem(program, f"{prefix}mmap_lock")
        self.ptl = SpinLock(program, f"{prefix}ptl", quiet=True)
        self.pmd: Cell[Pmd] = program.cell(f"{prefix}pmd", Pmd.TABLE)
        self.vmas: list[VmArea] = []
        self.ptes: dict[int, Cell[Pte]] = {}

    def add_vma(self, ptes: tuple[Pte, ...], flags: Vm, ctx: UserfaultfdCtx | None) -> VmArea:
        """Map anonymous pages with these PTEs."""
        start = self.vmas[-1].vm_end + PAGE_SIZE if self.vmas else PAGE_SIZE
        name = f"{self.prefix}vma{len(self.vmas) or ''}"
        vma = VmArea(name, self, start, len(ptes), flags=flags, ctx=ctx)
        self.vmas.append(vma)
        for address, pte in zip(vma.addresses(), ptes, strict=True):
            self.ptes[address] = self.program.cell(f"{self.prefix}pte({address:#x})", pte)
        return vma

    def find_vma(self, address: int) -> VmArea | None:
        """Return the VMA of an address; VMAs neither come nor go while a scenario runs."""
        return next((v for v in self.vmas if v.vm_start <= address < v.vm_end), None)

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

    @property
    def mm(self) -> MmStruct:
        """The address space."""
        return self.vma.vm_mm

    @property
    def write(self) -> bool:
        """Whether it is a write."""
        return bool(self.flags & FaultFlag.WRITE)
