"""Reading events (``fs/userfaultfd.c``: ``userfaultfd_ctx_read()``).

The oldest unread fault moves from ``fault_pending_wqh`` to ``fault_wqh``. For a moment it is on
neither queue; ``refile_seq`` is odd then, so that a waker looks again.
"""

from __future__ import annotations

from refault.explore import current_task, note, restart
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_RUNNING
from refault.linux.include.linux.seqlock import write_seqcount_begin, write_seqcount_end
from refault.linux.include.uapi.userfaultfd import UffdMsg
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import (
    __set_current_state,
    schedule,
    set_current_state,
)
from refault.linux.kernel.sched.wait import (
    WaitQueueEntry,
    __add_wait_queue,
    __remove_wait_queue,
    add_wait_queue,
    default_wake_function,
)
from refault.linux.modelled import kernel_function


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


@kernel_function("fs/userfaultfd.c", label="read(uffd)")
def userfaultfd_ctx_read(ctx: UserfaultfdCtx) -> UffdMsg | None:
    """Return the next message; waits for one, or returns None from a non-blocking descriptor."""
    me = WaitQueueEntry(current_task(), default_wake_function)
    spin_lock(ctx.fd_wqh.lock)
    __add_wait_queue(ctx.fd_wqh, me)
    while True:
        restart()
        set_current_state(TASK_INTERRUPTIBLE)
        msg = find_and_refile(ctx)
        if msg is not None or ctx.nonblock:
            break
        spin_unlock(ctx.fd_wqh.lock)
        schedule()
        spin_lock(ctx.fd_wqh.lock)
    __remove_wait_queue(ctx.fd_wqh, me)
    __set_current_state(TASK_RUNNING)
    spin_unlock(ctx.fd_wqh.lock)
    note(f"{msg}" if msg else "nothing to read")
    return msg
