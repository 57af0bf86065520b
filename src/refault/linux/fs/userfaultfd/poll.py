"""``poll(2)`` (``fs/userfaultfd.c``, ``fs/select.c``).

What poll says of a descriptor is a hint: whoever is in the queue then may be woken before the
message is read, so only a descriptor that does not block can be polled.
"""

from __future__ import annotations

from enum import IntFlag

from refault.explore import current_task, note, restart
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import is_initialized
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_RUNNING, TaskState
from refault.linux.include.linux.sched.signal import signal_pending
from refault.linux.include.uapi.errno import ERESTARTNOHAND
from refault.linux.include.uapi.userfaultfd import UffdRange
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import __set_current_state, schedule, set_current_state
from refault.linux.kernel.sched.wait import (
    WaitQueueEntry,
    WaitQueueHead,
    __remove_wait_queue,
    add_wait_queue,
    default_wake_function,
    waitqueue_active,
)
from refault.linux.modelled import current, current_kernel, kernel_function


class Poll(IntFlag):
    """``EPOLL*``: what a descriptor is ready for."""

    NONE = 0
    IN = 0x1
    ERR = 0x8
    HUP = 0x10


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_poll(ctx: UserfaultfdCtx) -> Poll:
    """Look at the queues without their locks; the caller is in ``fd_wqh`` already."""
    if not is_initialized(ctx) or not ctx.nonblock:
        return Poll.ERR
    ready = waitqueue_active(ctx.fault_pending_wqh) or waitqueue_active(ctx.event_wqh)
    return Poll.IN if ready else Poll.NONE


@kernel_function("fs/select.c", quiet=True)
def pollwake(q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: UffdRange) -> int:
    """Say that something happened, then wake: a poller that is not yet asleep sees the one."""
    current_kernel().task(entry.task).wq_flag.write(True)
    return default_wake_function(q, entry, mode, key)


@kernel_function("fs/select.c", label="poll(uffd)")
def do_poll(ctx: UserfaultfdCtx, *, timeout: bool = False) -> Poll | int:
    """Wait until the descriptor is ready; with a ``timeout`` of 0 only look.

    The kernel has a code of its own for a poll to be restarted or not; what the program sees of
    it, without a time limit, is -ERESTARTNOHAND.
    """
    me = current()
    entry = WaitQueueEntry(current_task(), pollwake)
    if not timeout:
        add_wait_queue(ctx.fd_wqh, entry)
    while True:
        restart()
        ready = userfaultfd_poll(ctx)
        interrupted = not ready and signal_pending(me)
        if ready or timeout or interrupted:
            break
        set_current_state(TASK_INTERRUPTIBLE)
        if not me.wq_flag.read():
            schedule()
        __set_current_state(TASK_RUNNING)
        me.wq_flag.write(False)
    if not timeout:
        _leave(ctx, entry)
    note(f"poll: {ready.name}")
    return -ERESTARTNOHAND if interrupted else ready


def _leave(ctx: UserfaultfdCtx, entry: WaitQueueEntry) -> None:
    """``poll_freewait()``."""
    spin_lock(ctx.fd_wqh.lock)
    __remove_wait_queue(ctx.fd_wqh, entry)
    spin_unlock(ctx.fd_wqh.lock)
    current().wq_flag.write(False)
