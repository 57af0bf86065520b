"""HMM's mirrors (``include/linux/hmm.h`` of Linux 4.14 to 5.4).

A *mirror* is a device that uses the page table of a process by way of a copy. All mirrors of a
process share one mmu notifier, that of ``struct hmm``, which passes on what it is told. In Linux
5.5 that layer went; a driver has an interval notifier since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange
from refault.linux.include.linux.slab import SlabField
from refault.linux.kernel.locking.rwsem import Rwsem

if TYPE_CHECKING:
    from refault.explore import Cell


@dataclass(frozen=True)
class HmmMirrorOps:
    """``struct hmm_mirror_ops``: updating the device's page table, and the end of the process."""

    sync_cpu_device_pagetables: Callable[[MmuNotifierRange], None]
    release: Callable[[], None] | None = None


class HmmMirror:
    """``struct hmm_mirror``; ``memory`` is the driver's object that it is part of."""

    def __init__(self, hmm: Hmm, name: str, ops: HmmMirrorOps, *, registered: bool = True) -> None:
        self.name = name
        self.hmm = hmm
        self.ops = ops
        self.memory: SlabField[str] = SlabField(hmm.mm.program, name, name)
        self.listed: Cell[bool] = hmm.mm.program.cell(f"{name}.list", registered)
        hmm.mirrors.insert(0, self)

    def __repr__(self) -> str:
        return self.name


class Hmm:
    """``struct hmm`` of a process. ``mirrors_sem`` covers which of the ``mirrors`` are listed."""

    def __init__(self, mm: MmStruct) -> None:
        self.mm = mm
        self.mirrors_sem = Rwsem(mm.program, f"{mm.prefix}mirrors_sem")
        self.mirrors: list[HmmMirror] = []
