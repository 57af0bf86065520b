"""What the monitor is told of changes to the address space (``fs/userfaultfd.c``).

Each change has two sides. Under the lock that it needs anyway it raises ``mmap_changing``, so that
the monitor fills nothing in the meantime; when all locks are dropped it queues a message and waits
until that is read, or the userfaultfd closed. Whether a userfaultfd is told is up to its features;
of memory that moves away, or is forked, and nobody is told, it loses track.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from refault.explore import Violation, current_task, note, restart
from refault.linux.fs.userfaultfd.ctx import (
    UffdFeature,
    UserfaultfdCtx,
    userfaultfd_ctx_get,
    userfaultfd_ctx_put,
)
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.linux.sched import TASK_KILLABLE, TASK_RUNNING
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.userfaultfd import UffdEvent, UffdMsg, event_msg
from refault.linux.kernel.locking.rwsem import down_write, up_write
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import __set_current_state, schedule, set_current_state
from refault.linux.kernel.sched.wait import (
    WaitQueueEntry,
    __add_wait_queue,
    __remove_wait_queue,
    default_wake_function,
    wake_up_poll,
)
from refault.linux.mm.mmap_lock import mmap_read_unlock
from refault.linux.mm.userfaultfd.armed import userfaultfd_release_new, userfaultfd_reset_ctx
from refault.linux.modelled import current, current_kernel, kernel_function


class Forked(NamedTuple):
    """``struct userfaultfd_fork_ctx``: a userfaultfd and that of the child, by their names."""

    orig: str
    new: str


class Unmapped(NamedTuple):
    """``struct userfaultfd_unmap_ctx``: a range that its userfaultfd, by name, is to be told of."""

    ctx: str
    start: int
    end: int


def _ctx(name: str) -> UserfaultfdCtx:
    ctx = current_kernel().uffd(name)
    assert ctx is not None
    return ctx


def _change(count: int, by: int) -> tuple[int, None]:
    if count + by < 0:
        raise Violation("WARN", "mmap_changing falls below zero")
    return count + by, None


@kernel_function("fs/userfaultfd.c", quiet=True)
def mmap_changing_begin(ctx: UserfaultfdCtx) -> None:
    """Raise ``mmap_changing`` when no ioctl is at work."""
    down_write(ctx.map_changing_lock)
    ctx.mmap_changing.update(_change, 1)
    up_write(ctx.map_changing_lock)
    note("mmap_changing is raised")


@kernel_function("fs/userfaultfd.c", quiet=True)
def mmap_changing_end(ctx: UserfaultfdCtx) -> None:
    """Lower ``mmap_changing``: the event has been read, or nobody is to be told."""
    ctx.mmap_changing.update(_change, -1)


def _wait_label(ctx: UserfaultfdCtx, msg: UffdMsg) -> str:
    return f"EVENT_{msg.event.name}"


@kernel_function("fs/userfaultfd.c", label=_wait_label)
def userfaultfd_event_wait_completion(ctx: UserfaultfdCtx, msg: UffdMsg) -> None:
    """Queue an event and wait until it is read or the userfaultfd is closed; no lock is held.

    SIGKILL ends the wait, and nothing else does.
    """
    ewq = WaitQueueEntry(current_task(), default_wake_function, msg=msg)
    spin_lock(ctx.event_wqh.lock)
    __add_wait_queue(ctx.event_wqh, ewq)
    aborted = False
    while True:
        restart()
        set_current_state(TASK_KILLABLE)
        if not _queued(ctx, ewq):
            break
        if ctx.released.read() or fatal_signal_pending(current()):
            aborted = True
            _take_off(ctx, ewq)
            break
        spin_unlock(ctx.event_wqh.lock)
        wake_up_poll(ctx.fd_wqh)
        schedule()
        spin_lock(ctx.event_wqh.lock)
    __set_current_state(TASK_RUNNING)
    spin_unlock(ctx.event_wqh.lock)
    if aborted and msg.event is UffdEvent.FORK:
        userfaultfd_release_new(_ctx(msg.ufd))
        userfaultfd_ctx_put(_ctx(msg.ufd))
    mmap_changing_end(ctx)
    userfaultfd_ctx_put(ctx)


def _queued(ctx: UserfaultfdCtx, ewq: WaitQueueEntry) -> bool:
    """Tell whether ``ewq->msg.event`` is not 0 yet: a reader that zeroes it takes it off, too."""
    return ewq in ctx.event_wqh.head.read() or ewq in ctx.fork_event.read()


def _without(
    entries: tuple[WaitQueueEntry, ...], ewq: WaitQueueEntry
) -> tuple[tuple[WaitQueueEntry, ...], None]:
    return tuple(entry for entry in entries if entry != ewq), None


def _take_off(ctx: UserfaultfdCtx, ewq: WaitQueueEntry) -> None:
    """``list_del()`` of an event, which may be on the list of a reader of a fork."""
    if not __remove_wait_queue(ctx.event_wqh, ewq):
        ctx.fork_event.update(_without, ewq)


@kernel_function("fs/userfaultfd.c", quiet=True)
def dup_userfaultfd(vma: VmArea, fcs: tuple[Forked, ...]) -> tuple[Forked, ...]:
    """A VMA was copied for a child, with its userfaultfd: make it one of the child's own, or none.

    ``fcs`` are the userfaultfds copied so far, one each; returned with what is new.
    """
    octx = vma.ctx
    if octx is None:
        return fcs
    if not octx.features.read() & UffdFeature.EVENT_FORK:
        userfaultfd_reset_ctx(vma)
        return fcs
    new = next((fctx.new for fctx in fcs if fctx.orig == octx.name), "")
    if not new:
        child = new_fork_ctx(octx, vma)
        new, fcs = child.name, (*fcs, Forked(octx.name, child.name))
        userfaultfd_ctx_get(octx)
        mmap_changing_begin(octx)
    vma.uffd_ctx.write(new)
    return fcs


def _born(count: int) -> tuple[int, bool]:
    return (1, True) if count == 0 else (count, False)


@kernel_function("fs/userfaultfd.c", quiet=True)
def new_fork_ctx(octx: UserfaultfdCtx, vma: VmArea) -> UserfaultfdCtx:
    """Allocate the userfaultfd of a child; the scenario has set one aside for its mm."""
    for ctx in current_kernel().uffds:
        if ctx.parent is octx and ctx.mm is vma.vm_mm and ctx.refcount.update(_born):
            ctx.features.write(octx.features.read())
            return ctx
    raise AssertionError(f"no userfaultfd was set aside for a child of {octx}")


@kernel_function("fs/userfaultfd.c", quiet=True)
def dup_userfaultfd_complete(fcs: Iterable[Forked]) -> None:
    """Tell of a fork that succeeded, one userfaultfd after the other."""
    for fctx in fcs:
        userfaultfd_event_wait_completion(_ctx(fctx.orig), event_msg(UffdEvent.FORK, ufd=fctx.new))


@kernel_function("fs/userfaultfd.c", quiet=True)
def dup_userfaultfd_fail(fcs: Iterable[Forked]) -> None:
    """Undo ``dup_userfaultfd()`` for a fork that failed half way: the child's mm is torn down."""
    for fctx in fcs:
        mmap_changing_end(_ctx(fctx.orig))
        userfaultfd_ctx_put(_ctx(fctx.orig))
        userfaultfd_ctx_put(_ctx(fctx.new))


@kernel_function("fs/userfaultfd.c", quiet=True)
def mremap_userfaultfd_prep(vma: VmArea) -> UserfaultfdCtx | None:
    """The new VMA of an mremap has its userfaultfd: keep it, and return it, or set the VMA free."""
    ctx = vma.ctx
    if ctx is None:
        return None
    if not ctx.features.read() & UffdFeature.EVENT_REMAP:
        userfaultfd_reset_ctx(vma)
        return None
    userfaultfd_ctx_get(ctx)
    mmap_changing_begin(ctx)
    return ctx


@kernel_function("fs/userfaultfd.c", quiet=True)
def mremap_userfaultfd_complete(
    ctx: UserfaultfdCtx | None, old: int, new: int, length: int
) -> None:
    """Tell of an mremap that succeeded."""
    if ctx is not None:
        msg = event_msg(UffdEvent.REMAP, old, length, to=new)
        userfaultfd_event_wait_completion(ctx, msg)


@kernel_function("fs/userfaultfd.c", quiet=True)
def mremap_userfaultfd_fail(ctx: UserfaultfdCtx | None) -> None:
    """An mremap was undone: nobody is told. ``mmap_changing`` stays raised."""
    if ctx is not None:
        userfaultfd_ctx_put(ctx)


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_remove(vma: VmArea, start: int, end: int) -> bool:
    """Tell that a range is about to be dropped; False if mmap_lock was dropped for that.

    Entered with mmap_lock held for reading. The pages go only afterwards: what the monitor fills
    in between is dropped, too.
    """
    ctx = vma.ctx
    if ctx is None or not ctx.features.read() & UffdFeature.EVENT_REMOVE:
        return True
    userfaultfd_ctx_get(ctx)
    mmap_changing_begin(ctx)
    mmap_read_unlock(vma.vm_mm)
    userfaultfd_event_wait_completion(ctx, event_msg(UffdEvent.REMOVE, start, end - start))
    return False


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_unmap_prep(
    vma: VmArea, start: int, end: int, unmaps: tuple[Unmapped, ...]
) -> tuple[Unmapped, ...]:
    """A range is about to be unmapped, under mmap_lock for writing; ``unmaps`` with what is new."""
    ctx = vma.ctx
    if ctx is None or not ctx.features.read() & UffdFeature.EVENT_UNMAP:
        return unmaps
    unmap = Unmapped(ctx.name, start, end)
    if unmap in unmaps:
        return unmaps
    userfaultfd_ctx_get(ctx)
    mmap_changing_begin(ctx)
    return (*unmaps, unmap)


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_unmap_complete(unmaps: Iterable[Unmapped]) -> None:
    """Tell of what was unmapped, when mmap_lock is dropped."""
    for unmap in unmaps:
        msg = event_msg(UffdEvent.UNMAP, unmap.start, unmap.end - unmap.start)
        userfaultfd_event_wait_completion(_ctx(unmap.ctx), msg)
