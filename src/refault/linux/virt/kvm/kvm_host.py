"""A virtual machine and its CPUs (``include/linux/kvm_host.h``)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.kernel.locking.spinlock import SpinLock

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class PfnError(Enum):
    """``KVM_PFN_ERR_*``: why there is no frame for an address."""

    FAULT = "KVM_PFN_ERR_FAULT"
    HWPOISON = "KVM_PFN_ERR_HWPOISON"
    RO_FAULT = "KVM_PFN_ERR_RO_FAULT"
    SIGPENDING = "KVM_PFN_ERR_SIGPENDING"
    NEEDS_IO = "KVM_PFN_ERR_NEEDS_IO"

    def __repr__(self) -> str:
        return self.value


class Pfn(NamedTuple):
    """The frame of an address, and whether the guest may be let write to it."""

    pfn: int
    writable: bool


class Spte(NamedTuple):
    """An entry of the page table that the guest is translated by, made for one frame."""

    pfn: int
    write: bool


class Kvm:
    """``struct kvm``: the memory of a process, as a guest sees it.

    There is an entry (``sptes``) for each page that is mapped when the machine is made.
    ``current_seq`` stands for ``mmu_invalidate_seq``: the CPUs since whose look at it there was no
    invalidation. ``in_progress`` counts those that go on. ``immediate_exit`` is the flag of that
    name in ``struct kvm_run``, by which a signal handler keeps the guest from being entered.
    ``register`` is what the guest has loaded, as far as its instructions are emulated.
    """

    def __init__(self, program: Program, mm: MmStruct, name: str = "kvm") -> None:
        self.name = name
        self.mm = mm
        self.mmu_lock = SpinLock(program, f"{name}.mmu_lock", quiet=True)
        self.current_seq: Cell[tuple[str, ...]] = program.cell(f"{name}.mmu_invalidate_seq", ())
        self.in_progress: Cell[int] = program.cell(f"{name}.mmu_invalidate_in_progress", 0)
        self.immediate_exit: Cell[bool] = program.cell(f"{name}.immediate_exit", False)
        self.register: Cell[int | None] = program.cell(f"{name}.register", None)
        self.sptes: dict[int, Cell[Spte | None]] = {
            address: program.cell(f"{name}.spte({address:#x})", None) for address in mm.ptes
        }

    def __repr__(self) -> str:
        return self.name


class Exit(NamedTuple):
    """How ``KVM_RUN`` returns: 0 or -errno, why, and what the guest has loaded."""

    errno: int
    reason: str
    value: int = 0
