"""Waking the tasks that wait for a page (``fs/userfaultfd.c``).

Whoever resolves a fault writes the PTE first and looks for waiters afterwards; a faulting task
queues itself first and looks at the PTE afterwards. So one of them sees the other, *if* the PTE
that the task reads shows the resolution.
"""

from __future__ import annotations

from refault.explore import note, restart
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.sched import TASK_NORMAL, TaskState
from refault.linux.include.linux.seqlock import read_seqcount_begin, read_seqcount_retry
from refault.linux.include.uapi.userfaultfd import UffdRange
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import try_to_wake_up
from refault.linux.kernel.sched.wait import (
    WaitQueueEntry,
    WaitQueueHead,
    __wake_up,
    __wake_up_locked_key,
    list_del_init,
    waitqueue_active,
)
from refault.linux.modelled import current_kernel, kernel_function


@kernel_function("fs/userfaultfd.c", label=lambda q, entry, mode, key: f"wake {entry.task}")
def userfaultfd_wake_function(
    q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: UffdRange
) -> int:
    """Wake a task whose address is in ``key`` and take its entry off the queue, once it is awake.

    A task that was running already is left on the queue: it takes itself off.
    """
    if entry.msg is not None and not key.covers(entry.msg.address):
        return 0
    task = current_kernel().task(entry.task)
    if not try_to_wake_up(task, mode):
        return 0
    list_del_init(q, entry)
    return 1


@kernel_function("fs/userfaultfd.c", quiet=True)
def __wake_userfault(ctx: UserfaultfdCtx, key: UffdRange) -> None:
    """Wake all waiters of a range in both queues, under the lock of the first."""
    spin_lock(ctx.fault_pending_wqh.lock)
    if waitqueue_active(ctx.fault_pending_wqh):
        __wake_up_locked_key(ctx.fault_pending_wqh, TASK_NORMAL, key)
    if waitqueue_active(ctx.fault_wqh):
        __wake_up(ctx.fault_wqh, TASK_NORMAL, 1, key)
    spin_unlock(ctx.fault_pending_wqh.lock)


@kernel_function("fs/userfaultfd.c")
def wake_userfault(ctx: UserfaultfdCtx, key: UffdRange) -> None:
    """Wake the waiters of a range, if there seem to be any."""
    while True:
        restart()
        read_seqcount_begin(ctx.refile_seq)
        need_wakeup = waitqueue_active(ctx.fault_pending_wqh) or waitqueue_active(ctx.fault_wqh)
        if not read_seqcount_retry(ctx.refile_seq):
            break
    if need_wakeup:
        __wake_userfault(ctx, key)
    else:
        note("nothing to wake")
