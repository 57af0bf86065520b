"""Reading messages (``fs/userfaultfd.c``: ``userfaultfd_read_iter()``).

The oldest unread fault moves from ``fault_pending_wqh`` to ``fault_wqh``. For a moment it is on
neither queue; ``refile_seq`` is odd then, so that a waker looks again. Where there is no fault the
oldest event is read, which lets its sender go on. Of a fork the reader gets a descriptor for the
child's userfaultfd; making one can sleep, and fail.
"""

from __future__ import annotations

from refault.explore import current_task, note, restart
from refault.linux.fs.userfaultfd.ctx import (
    UserfaultfdCtx,
    userfaultfd_ctx_get,
    userfaultfd_ctx_put,
)
from refault.linux.fs.userfaultfd.ioctl import is_initialized
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_RUNNING
from refault.linux.include.linux.sched.signal import signal_pending
from refault.linux.include.linux.seqlock import write_seqcount_begin, write_seqcount_end
from refault.linux.include.uapi.errno import EAGAIN, EFAULT, EINVAL, EMFILE, ERESTARTSYS
from refault.linux.include.uapi.userfaultfd import UffdEvent, UffdMsg, UserStruct
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import (
    __set_current_state,
    schedule,
    set_current_state,
)
from refault.linux.kernel.sched.wait import (
    ANY,
    WaitQueueEntry,
    __add_wait_queue,
    __remove_wait_queue,
    __wake_up_locked_key,
    add_wait_queue,
    default_wake_function,
)
from refault.linux.modelled import current, current_kernel, kernel_function


@kernel_function("fs/userfaultfd.c", quiet=True)
def refile(ctx: UserfaultfdCtx, uwq: WaitQueueEntry) -> None:
    """Move a fault to the queue of those that were read; the caller holds the first one's lock."""
    write_seqcount_begin(ctx.refile_seq)
    __remove_wait_queue(ctx.fault_pending_wqh, uwq)
    add_wait_queue(ctx.fault_wqh, uwq)
    write_seqcount_end(ctx.refile_seq)


@kernel_function("fs/userfaultfd.c", quiet=True)
def find_and_refile(ctx: UserfaultfdCtx) -> UffdMsg | None:
    """Take the oldest unread message, if there is one."""
    spin_lock(ctx.fault_pending_wqh.lock)
    entries = ctx.fault_pending_wqh.head.read()
    if entries:
        refile(ctx, entries[-1])
    spin_unlock(ctx.fault_pending_wqh.lock)
    return entries[-1].msg if entries else None


def _move(
    entries: tuple[WaitQueueEntry, ...], entry: WaitQueueEntry
) -> tuple[tuple[WaitQueueEntry, ...], None]:
    return (*entries, entry), None


@kernel_function("fs/userfaultfd.c", quiet=True)
def find_event(ctx: UserfaultfdCtx) -> WaitQueueEntry | None:
    """Take the oldest event, if there is one, and let its sender go on; a fork stays its own."""
    spin_lock(ctx.event_wqh.lock)
    entries = ctx.event_wqh.head.read()
    ewq = entries[-1] if entries else None
    if ewq is not None and ewq.msg is not None and ewq.msg.event is UffdEvent.FORK:
        __remove_wait_queue(ctx.event_wqh, ewq)
        ctx.fork_event.update(_move, ewq)
        userfaultfd_ctx_get(_child(ewq))
    elif ewq is not None:
        userfaultfd_event_complete(ctx, ewq)
    spin_unlock(ctx.event_wqh.lock)
    return ewq


def _child(ewq: WaitQueueEntry) -> UserfaultfdCtx:
    """The userfaultfd of the child whose fork is told."""
    assert ewq.msg is not None
    child = current_kernel().uffd(ewq.msg.ufd)
    assert child is not None
    return child


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_event_complete(ctx: UserfaultfdCtx, ewq: WaitQueueEntry) -> None:
    """Let the sender of an event go on: it finds itself off the queue."""
    __wake_up_locked_key(ctx.event_wqh, TASK_NORMAL, ANY)
    __remove_wait_queue(ctx.event_wqh, ewq)


@kernel_function("fs/userfaultfd.c", label="read(uffd)")
def userfaultfd_ctx_read(
    ctx: UserfaultfdCtx, no_wait: bool, *, may_open: bool = True
) -> UffdMsg | int:
    """Return the next message, or -errno; waits for one unless told not to.

    ``may_open`` says whether the reader can have another descriptor, for a child that forked.
    """
    me = WaitQueueEntry(current_task(), default_wake_function)
    spin_lock(ctx.fd_wqh.lock)
    __add_wait_queue(ctx.fd_wqh, me)
    while True:
        restart()
        set_current_state(TASK_INTERRUPTIBLE)
        found: UffdMsg | WaitQueueEntry | None = find_and_refile(ctx) or find_event(ctx)
        interrupted = found is None and signal_pending(current())
        if found is not None or interrupted or no_wait:
            break
        spin_unlock(ctx.fd_wqh.lock)
        schedule()
        spin_lock(ctx.fd_wqh.lock)
    __remove_wait_queue(ctx.fd_wqh, me)
    __set_current_state(TASK_RUNNING)
    spin_unlock(ctx.fd_wqh.lock)
    msg = found.msg if isinstance(found, WaitQueueEntry) else found
    note(f"{msg}" if msg else "nothing to read")
    if isinstance(found, WaitQueueEntry) and msg and msg.event is UffdEvent.FORK:
        return resolve_userfault_fork(ctx, found, may_open)
    return msg or (-ERESTARTSYS if interrupted else -EAGAIN)


def _is_there(
    entries: tuple[WaitQueueEntry, ...], ewq: WaitQueueEntry
) -> tuple[tuple[WaitQueueEntry, ...], bool]:
    return tuple(e for e in entries if e != ewq), ewq in entries


@kernel_function("fs/userfaultfd.c", quiet=True)
def resolve_userfault_fork(
    ctx: UserfaultfdCtx, ewq: WaitQueueEntry, may_open: bool
) -> UffdMsg | int:
    """Open a descriptor for a child's userfaultfd, and let its parent go on; message or -errno.

    Where that fails the event is put back, to be read again. The parent may have given up
    meanwhile: then it has dropped its reference, and the descriptor lives by the reader's.
    """
    child = _child(ewq)
    failed = not may_open
    spin_lock(ctx.event_wqh.lock)
    if ctx.fork_event.update(_is_there, ewq):
        userfaultfd_ctx_put(child)
        __add_wait_queue(ctx.event_wqh, ewq)
        if not failed:
            userfaultfd_event_complete(ctx, ewq)
    elif failed:
        userfaultfd_ctx_put(child)
    spin_unlock(ctx.event_wqh.lock)
    if failed:
        note("no descriptor left: -EMFILE")
    assert ewq.msg is not None
    return -EMFILE if failed else ewq.msg


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_read_iter(
    ctx: UserfaultfdCtx,
    count: int,
    *,
    buffer: UserStruct = UserStruct.WRITABLE,
    may_open: bool = True,
) -> tuple[UffdMsg, ...] | int:
    """``read(2)`` of up to ``count`` messages, of which only the first is waited for; or -errno.

    A message that cannot be copied to the program is lost: its fault counts as read.
    """
    if not is_initialized(ctx) or count < 1:
        return -EINVAL
    found: tuple[UffdMsg, ...] = ()
    while len(found) < count:
        msg = userfaultfd_ctx_read(ctx, ctx.nonblock or bool(found), may_open=may_open)
        if isinstance(msg, int):
            return found or msg
        if buffer is not UserStruct.WRITABLE:
            note("the message cannot be copied: -EFAULT")
            return found or -EFAULT
        found = (*found, msg)
    return found
