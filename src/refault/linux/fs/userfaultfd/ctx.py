"""``struct userfaultfd_ctx`` (``fs/userfaultfd.c``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import Violation
from refault.linux.include.linux.page import MANY
from refault.linux.include.linux.seqlock import SeqCount
from refault.linux.include.uapi.userfaultfd import UffdFeature
from refault.linux.kernel.locking.rwsem import Rwsem
from refault.linux.kernel.sched.wait import WaitQueueEntry, WaitQueueHead
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.include.linux.mm_types import MmStruct

__all__ = ["UffdFeature", "UserfaultfdCtx", "userfaultfd_ctx_get", "userfaultfd_ctx_put"]


class UserfaultfdCtx:
    """A userfaultfd.

    A fault waits in ``fault_pending_wqh`` until its message is read and in ``fault_wqh`` after
    that; who changes the address space waits in ``event_wqh`` for the event to be read; readers
    of the file wait in ``fd_wqh``. Locks nest in the order fd_wqh, fault_pending_wqh, fault_wqh,
    and event_wqh below fd_wqh. ``refile_seq`` tells a waker that a fault is just moving from the
    one queue to the other.

    ``mmap_changing`` counts the events that have begun and not been read, for ioctls must not
    fill what is being taken away; ``map_changing_lock`` keeps it as it is while they work.
    ``fork_event`` has the entries of FORK events that a reader is just making a descriptor for.
    A ctx whose ``refcount`` is 0 has been freed, or not been allocated yet: one that is set aside
    for a forked child names its ``parent``.
    """

    def __init__(
        self,
        program: Program,
        name: str,
        mm: MmStruct,
        *,
        nonblock: bool = False,
        user_mode_only: bool = False,
        features: UffdFeature = UffdFeature.INITIALIZED,
        parent: UserfaultfdCtx | None = None,
    ) -> None:
        prefix = "" if name == "uffd" else f"{name}."
        self.name = name
        self.mm = mm
        self.parent = parent
        self.nonblock = nonblock
        self.user_mode_only = user_mode_only
        self.features: Cell[UffdFeature] = program.cell(f"{prefix}features", features)
        self.fault_pending_wqh = WaitQueueHead(program, f"{prefix}fault_pending_wqh")
        self.fault_wqh = WaitQueueHead(program, f"{prefix}fault_wqh")
        self.fd_wqh = WaitQueueHead(program, f"{prefix}fd_wqh", quiet=True)
        self.event_wqh = WaitQueueHead(program, f"{prefix}event_wqh")
        self.fork_event: Cell[tuple[WaitQueueEntry, ...]] = program.cell(f"{prefix}fork_event", ())
        self.refile_seq = SeqCount(program, f"{prefix}refile_seq")
        self.refcount: Cell[int] = program.cell(f"{prefix}refcount", 0 if parent else 1)
        self.released: Cell[bool] = program.cell(f"{prefix}released", False)
        self.mmap_changing: Cell[int] = program.cell(f"{prefix}mmap_changing", 0)
        self.map_changing_lock = Rwsem(program, f"{prefix}map_changing_lock")

    def __repr__(self) -> str:
        return self.name


def _get(count: int, name: str) -> tuple[int, None]:
    if count == 0:
        raise Violation("use after free", f"{name} is used after it was freed")
    if count + 1 >= MANY:
        raise Violation("BUG", f"reference count of {name} runs wild: {count + 1}")
    return count + 1, None


def _put(count: int, name: str) -> tuple[int, bool]:
    if count == 0:
        raise Violation("use after free", f"a reference to {name} is dropped after it was freed")
    return count - 1, count == 1


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_ctx_get(ctx: UserfaultfdCtx) -> None:
    """Take a reference."""
    ctx.refcount.update(_get, ctx.name)


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_ctx_put(ctx: UserfaultfdCtx) -> None:
    """Drop a reference; with the last one the ctx is freed, and nobody may be queued on it."""
    if not ctx.refcount.update(_put, ctx.name):
        return
    for queue in (ctx.fault_pending_wqh, ctx.fault_wqh, ctx.event_wqh, ctx.fd_wqh):
        left = queue.head.read()
        if left:
            raise Violation("use after free", f"{ctx} is freed while {left[0].task} is on {queue}")


def enabled(features: UffdFeature | None) -> UffdFeature:
    """What the handshake leaves behind; WP_ASYNC brings WP_UNPOPULATED with it."""
    if features is None:
        return UffdFeature.NONE
    if features & UffdFeature.WP_ASYNC:
        features |= UffdFeature.WP_UNPOPULATED
    return features | UffdFeature.INITIALIZED
