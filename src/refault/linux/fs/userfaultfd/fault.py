"""A fault that user space resolves (``fs/userfaultfd.c``: ``handle_userfault()``).

The order is what all arguments about lost wake-ups rest on:

1. the entry goes on the queue, and the task's state is set, under the queue's lock;
2. only then is the PTE read once more, without its lock, in case the fault was resolved meanwhile;
3. the fault lock is dropped;
4. the task sleeps, once, if the PTE still called for it.

Step 2 is only a hint in one direction: "resolved" is to be trusted, "not resolved" is not, for a
PTE that is being changed under its lock may show none for a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import atomic, current_task, note
from refault.linux.fs.userfaultfd.ctx import (
    UffdFeature,
    UserfaultfdCtx,
    userfaultfd_ctx_get,
    userfaultfd_ctx_put,
)
from refault.linux.fs.userfaultfd.wake import userfaultfd_wake_function
from refault.linux.include.linux.mm_types import FaultFlag, Pmd, Vm, VmArea, VmFault, VmFaultInfo
from refault.linux.include.linux.pgtable import Pte, pte_write, ptep_get
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    Pf,
    TaskState,
)
from refault.linux.include.linux.sched.signal import ThreadSignals
from refault.linux.include.uapi.userfaultfd import PagefaultFlag, UffdMsg
from refault.linux.kernel.locking.rwsem import down_read, up_read
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
    wake_up_poll,
)
from refault.linux.mm.hugetlb_lock import hugetlb_lock_of
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.linux.task import Task


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_wp_async(vma: VmArea) -> bool:
    """Tell whether a write unprotects its page without asking (``UFFD_FEATURE_WP_ASYNC``)."""
    ctx = vma.ctx
    return ctx is not None and bool(ctx.features.read() & UffdFeature.WP_ASYNC)


@kernel_function("include/linux/userfaultfd_k.h", quiet=True)
def userfaultfd_wp_use_markers(vma: VmArea) -> bool:
    """Tell whether a hole is write-protected by a marker: of a file, or if that was asked for."""
    if not vma.vm_flags.read() & Vm.UFFD_WP:
        return False
    ctx = vma.ctx
    unpopulated = ctx is not None and ctx.features.read() & UffdFeature.WP_UNPOPULATED
    return vma.vm_file is not None or bool(unpopulated)


def _message(vmf: VmFaultInfo, reason: Vm) -> UffdMsg:
    flags = PagefaultFlag.WRITE if vmf.write else PagefaultFlag.NONE
    if reason & Vm.UFFD_WP:
        flags |= PagefaultFlag.WP
    if reason & Vm.UFFD_MINOR:
        flags |= PagefaultFlag.MINOR
    return UffdMsg(vmf.address, flags, current_task())


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfaultfd_get_blocking_state(flags: FaultFlag) -> TaskState:
    """Return the state to sleep in: which signals end it is up to the flags, not to the mode."""
    if flags & FaultFlag.INTERRUPTIBLE:
        return TASK_INTERRUPTIBLE
    return TASK_KILLABLE if flags & FaultFlag.KILLABLE else TASK_UNINTERRUPTIBLE


@kernel_function("fs/userfaultfd.c", quiet=True)
def pte_must_wait(pte: Pte, reason: Vm) -> bool:
    """Judge a PTE: the tail of ``userfaultfd_must_wait()``, where it has no name of its own.

    The write bit is looked at whatever the entry is, also where it means something else.
    """
    if pte.none_mostly:
        note("pte_none: must wait")
        return True
    if reason & Vm.UFFD_WP and not pte_write(pte):
        note(f"{pte.kind.value}, not writable: must wait")
        return True
    note(f"{pte.kind.value}: no need to wait")
    return False


@kernel_function("fs/userfaultfd.c")
def userfaultfd_must_wait(ctx: UserfaultfdCtx, vmf: VmFaultInfo, reason: Vm) -> bool:
    """Walk the page table without its lock and tell whether the fault still waits to be resolved.

    The fault lock keeps page tables from being freed, so an empty PMD entry means a hole.
    """
    if ctx.mm.pmd.read() is Pmd.NONE:
        note("pmd_none: must wait")
        return True
    return pte_must_wait(ptep_get(ctx.mm.pte(vmf.address)), reason)


def _exiting_or_dumping(signals: ThreadSignals) -> bool:
    return bool(signals.flags & (Pf.EXITING | Pf.DUMPCORE))


def exiting_or_dumping(task: Task) -> bool:
    """Tell whether a task is past being helped: the monitor may be waiting for its end."""
    return task.signals is not None and task.signals.peek(_exiting_or_dumping)


@kernel_function("fs/userfaultfd.c")
def userfaultfd_huge_must_wait(ctx: UserfaultfdCtx, vmf: VmFaultInfo, reason: Vm) -> bool:
    """The same of a hugetlb page; the lock of the mapping keeps its page table."""
    return pte_must_wait(ptep_get(ctx.mm.pte(vmf.address)), reason)


@kernel_function("fs/userfaultfd.c", quiet=True)
def userfault_refused(vmf: VmFaultInfo, ctx: UserfaultfdCtx | None) -> VmFault | None:
    """Return what the fault ends with where nobody is to be asked, else None.

    SIGBUS keeps the fault lock, and so does the RETRY of a fault that must not wait. A userfaultfd
    that is being closed drops it, so that whoever closes it gets on.
    """
    if ctx is None:
        return VmFault.SIGBUS
    if ctx.features.read() & UffdFeature.SIGBUS:
        return VmFault.SIGBUS
    if ctx.user_mode_only and not vmf.flags & FaultFlag.USER:
        return VmFault.SIGBUS
    if not vmf.flags & FaultFlag.ALLOW_RETRY:
        return VmFault.SIGBUS
    if vmf.flags & FaultFlag.RETRY_NOWAIT:
        return VmFault.RETRY
    if ctx.released.read():
        release_fault_lock(vmf)
        return VmFault.RETRY
    return None


@kernel_function("fs/userfaultfd.c")
def handle_userfault(vmf: VmFaultInfo, reason: Vm) -> VmFault:
    """Queue the fault for the monitor and sleep until somebody wakes the task.

    Entered with the fault lock held; SIGBUS keeps it, RETRY has dropped it unless the fault was
    not to wait.
    """
    if exiting_or_dumping(current()):
        return VmFault.SIGBUS
    ctx = vmf.vma.ctx
    refused = userfault_refused(vmf, ctx)
    if refused is not None or ctx is None:
        return refused or VmFault.SIGBUS
    userfaultfd_ctx_get(ctx)
    huge = bool(vmf.vm_flags & Vm.HUGETLB)
    if huge:
        down_read(hugetlb_lock_of(vmf.vma))
    uwq = WaitQueueEntry(current_task(), userfaultfd_wake_function, msg=_message(vmf, reason))
    spin_lock(ctx.fault_pending_wqh.lock)
    __add_wait_queue(ctx.fault_pending_wqh, uwq)
    set_current_state(userfaultfd_get_blocking_state(vmf.flags))
    spin_unlock(ctx.fault_pending_wqh.lock)
    if huge:
        must_wait = userfaultfd_huge_must_wait(ctx, vmf, reason)
        up_read(hugetlb_lock_of(vmf.vma))
    else:
        must_wait = userfaultfd_must_wait(ctx, vmf, reason)
    release_fault_lock(vmf)
    ret = sleep_on_uwq(ctx, vmf, must_wait)
    __set_current_state(TASK_RUNNING)
    if current().on_list.read():
        unlink_uwq(ctx, uwq)
    userfaultfd_ctx_put(ctx)
    return ret


@kernel_function("fs/userfaultfd.c", quiet=True)
def sleep_on_uwq(ctx: UserfaultfdCtx, vmf: VmFaultInfo, must_wait: bool) -> VmFault:
    """Sleep, once: who is woken for nothing faults again and is queued again."""
    if must_wait and not ctx.released.read():
        wake_up_poll(ctx.fd_wqh)
        schedule()
    return VmFault.RETRY


@kernel_function("fs/userfaultfd.c", quiet=True)
def unlink_uwq(ctx: UserfaultfdCtx, uwq: WaitQueueEntry) -> None:
    """Take the entry off whichever queue it is on: all who move it hold this lock."""
    spin_lock(ctx.fault_pending_wqh.lock)
    with atomic():
        if not __remove_wait_queue(ctx.fault_pending_wqh, uwq):
            __remove_wait_queue(ctx.fault_wqh, uwq)
        current().on_list.write(False)
    spin_unlock(ctx.fault_pending_wqh.lock)
