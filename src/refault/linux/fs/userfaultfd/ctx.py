"""``struct userfaultfd_ctx`` (``fs/userfaultfd.c``)."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

from refault.linux.include.linux.seqlock import SeqCount
from refault.linux.kernel.locking.rwsem import Rwsem
from refault.linux.kernel.sched.wait import WaitQueueHead

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.include.linux.mm_types import MmStruct


class UffdFeature(IntFlag):
    """``uffdio_api.features``."""

    NONE = 0
    SIGBUS = 0x80


class UserfaultfdCtx:
    """A userfaultfd.

    A fault waits in ``fault_pending_wqh`` until its message is read and in ``fault_wqh`` after
    that; readers of the file wait in ``fd_wqh``. Locks nest in the order fd_wqh,
    fault_pending_wqh, fault_wqh. ``refile_seq`` tells a waker that a fault is just moving from the
    one queue to the other.
    """

    def __init__(
        self, program: Program, name: str, mm: MmStruct, *, nonblock: bool, features: UffdFeature
    ) -> None:
        prefix = "" if name == "uffd" else f"{name}."
        self.name = name
        self.mm = mm
        self.nonblock = nonblock
        self.features = features
        self.fault_pending_wqh = WaitQueueHead(program, f"{prefix}fault_pending_wqh")
        self.fault_wqh = WaitQueueHead(program, f"{prefix}fault_wqh")
        self.fd_wqh = WaitQueueHead(program, f"{prefix}fd_wqh", quiet=True)
        self.refile_seq = SeqCount(program, f"{prefix}refile_seq")
        self.refcount: Cell[int] = program.cell(f"{prefix}refcount", 1)
        self.released: Cell[bool] = program.cell(f"{prefix}released", False)
        self.mmap_changing: Cell[int] = program.cell(f"{prefix}mmap_changing", 0)
        self.map_changing_lock = Rwsem(program, f"{prefix}map_changing_lock")

    def __repr__(self) -> str:
        return self.name
