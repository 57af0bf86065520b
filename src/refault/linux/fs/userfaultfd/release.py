"""The last close of a userfaultfd (``fs/userfaultfd.c``: ``userfaultfd_release()``).

No fault may be left asleep, and none may come after: ``released`` is set first, then mmap_lock and
the VMA locks are taken for writing. A fault that has not seen the flag holds one of these locks
until it is queued. So after that everybody is queued who ever will be, and is woken.
"""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx, userfaultfd_ctx_put
from refault.linux.include.linux.sched import TASK_NORMAL
from refault.linux.include.uapi.userfaultfd import UffdRange
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.wait import ANY, __wake_up, __wake_up_locked_key, wake_up_poll
from refault.linux.mm.userfaultfd.register import userfaultfd_release_all
from refault.linux.modelled import kernel_function


@kernel_function("fs/userfaultfd.c", label="close(uffd)")
def userfaultfd_release(ctx: UserfaultfdCtx) -> None:
    """Set all VMAs free, wake everybody, and drop the descriptor's reference."""
    ctx.released.write(True)
    userfaultfd_release_all(ctx)
    everything = UffdRange(0, 0)
    spin_lock(ctx.fault_pending_wqh.lock)
    __wake_up_locked_key(ctx.fault_pending_wqh, TASK_NORMAL, everything)
    __wake_up(ctx.fault_wqh, TASK_NORMAL, 1, everything)
    spin_unlock(ctx.fault_pending_wqh.lock)
    __wake_up(ctx.event_wqh, TASK_NORMAL, 0, ANY)
    wake_up_poll(ctx.fd_wqh)
    userfaultfd_ctx_put(ctx)
