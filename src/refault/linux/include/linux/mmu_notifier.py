"""Who is told when page-table entries go (``include/linux/mmu_notifier.h``).

A *notifier* belongs to a page table other than the CPU's: KVM's, a GPU's. It is told before entries
of the CPU's page table change, and when that is over, and must not use what it knew in between. An
*interval notifier* is told of one range only, and once: it keeps a sequence number by which its
owner learns whether what he has just looked up is stale.

Only the processes of stories with a notifier have ``mm.notifiers``; to all others the calls cost
nothing. A sequence number has no meaning but to tell whether it still is the one that somebody has
seen, so in its place the model keeps who has seen it: the number would grow for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from refault.linux.include.linux.slab import SlabField
from refault.linux.kernel.locking.spinlock import SpinLock
from refault.linux.kernel.rcu.srcutree import SrcuStruct
from refault.linux.kernel.sched.wait import WaitQueueHead

if TYPE_CHECKING:
    from refault.explore import Cell
    from refault.linux.include.linux.mm_types import MmStruct


class MmuNotifyEvent(Enum):
    """``enum mmu_notifier_event``: why entries change."""

    UNMAP = "MMU_NOTIFY_UNMAP"
    CLEAR = "MMU_NOTIFY_CLEAR"
    PROTECTION_VMA = "MMU_NOTIFY_PROTECTION_VMA"
    PROTECTION_PAGE = "MMU_NOTIFY_PROTECTION_PAGE"
    RELEASE = "MMU_NOTIFY_RELEASE"
    MIGRATE = "MMU_NOTIFY_MIGRATE"

    def __repr__(self) -> str:
        return self.value


class MmuNotifierRange(NamedTuple):
    """``struct mmu_notifier_range``: what changes, and whether who is told may sleep.

    ``owner`` is the device that moves pages to its own memory, and need not be told of that.
    """

    mm: MmStruct
    start: int
    end: int
    event: MmuNotifyEvent
    blockable: bool = True
    owner: str = ""

    def __repr__(self) -> str:
        where = "all" if self.end >= 1 << 62 else f"{self.start:#x}-{self.end:#x}"
        return f"{where}, {self.event.value}"


@dataclass(frozen=True)
class MmuNotifierOps:
    """``struct mmu_notifier_ops``; what is None is not called.

    ``invalidate_range_start`` returns 0, or -EAGAIN where it would have to sleep and must not.
    """

    release: Callable[[], None] | None = None
    invalidate_range_start: Callable[[MmuNotifierRange], int] | None = None
    invalidate_range_end: Callable[[MmuNotifierRange], None] | None = None
    free_notifier: Callable[[], None] | None = None


Invalidate = Callable[[MmuNotifierRange], bool]
"""Of an interval notifier: given the range; False if it would have to sleep and must not."""


class IntervalSeq(NamedTuple):
    """``invalidate_seq`` of an interval: where the sequence stood when it was invalidated last.

    ``current``: that is where it still stands; ``unchanged``: who has looked since.
    """

    current: bool = False
    unchanged: tuple[str, ...] = ()


class SubscriptionsSeq(NamedTuple):
    """``invalidate_seq`` of a process: ``odd`` while an interval is invalidated.

    ``watchers`` have seen it so and wait for it to change.
    """

    odd: bool = False
    watchers: tuple[str, ...] = ()


class MmuNotifier:
    """``struct mmu_notifier``. ``memory`` is the object that it is part of, which its owner frees.

    ``hashed``: it is on the list of its process.
    """

    def __init__(
        self, mm: MmStruct, name: str, ops: MmuNotifierOps, *, registered: bool = True
    ) -> None:
        self.name = name
        self.mm = mm
        self.ops = ops
        self.memory: SlabField[str] = SlabField(mm.program, name, name)
        self.hashed: Cell[bool] = mm.program.cell(f"{name}.hashed", registered)
        subscriptions_of(mm).notifiers.insert(0, self)

    def __repr__(self) -> str:
        return self.name


class MmuIntervalNotifier:
    """``struct mmu_interval_notifier``: who is told of what happens from ``start`` to ``end``.

    ``in_tree`` says whether it is told, ``deferred`` that this is to change when nothing is
    invalidated.
    """

    def __init__(
        self,
        mm: MmStruct,
        name: str,
        start: int,
        end: int,
        invalidate: Invalidate,
        *,
        inserted: bool = True,
    ) -> None:
        self.name = name
        self.mm = mm
        self.start = start
        self.end = end
        self.invalidate = invalidate
        self.memory: SlabField[str] = SlabField(mm.program, name, name)
        self.invalidate_seq: Cell[IntervalSeq] = mm.program.cell(
            f"{name}.invalidate_seq", IntervalSeq()
        )
        self.in_tree: Cell[bool] = mm.program.cell(f"{name}.in_tree", inserted)
        self.deferred: Cell[bool] = mm.program.cell(f"{name}.deferred", False)
        subscriptions_of(mm).intervals.append(self)

    def overlaps(self, range: MmuNotifierRange) -> bool:
        """Whether anything of the range is of interest."""
        return self.start < range.end and range.start < self.end

    def __repr__(self) -> str:
        return self.name


class NotifierSubscriptions:
    """``struct mmu_notifier_subscriptions``: the notifiers of a process.

    The list of ``notifiers`` has all that there can be, the newest first. It is read under ``srcu``
    and changed under ``lock``; a reader who stands on one that is taken out goes on to those that
    are in it then. The tree of ``intervals`` only changes while nothing is invalidated.
    """

    def __init__(self, mm: MmStruct) -> None:
        program, prefix = mm.program, mm.prefix
        self.notifiers: list[MmuNotifier] = []
        self.intervals: list[MmuIntervalNotifier] = []
        self.srcu = SrcuStruct(program, f"{prefix}srcu")
        self.lock = SpinLock(program, f"{prefix}subscriptions", quiet=True)
        self.wq = WaitQueueHead(program, f"{prefix}subscriptions.wq", quiet=True)
        self.invalidate_seq: Cell[SubscriptionsSeq] = program.cell(
            f"{prefix}invalidate_seq", SubscriptionsSeq()
        )
        self.active: Cell[int] = program.cell(f"{prefix}active_invalidate_ranges", 0)


def subscriptions_of(mm: MmStruct) -> NotifierSubscriptions:
    """Return the subscriptions of a process, which has them from its first notifier on."""
    if mm.notifiers is None:
        mm.notifiers = NotifierSubscriptions(mm)
    return mm.notifiers
