"""userfaultfd: how a fault waits, and how it is told to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refault.explore import restart
from refault.linux.fs.userfaultfd.ctx import UffdFeature, UserfaultfdCtx
from refault.linux.fs.userfaultfd.fault import userfaultfd_get_blocking_state
from refault.linux.include.linux.mm_types import FaultFlag, VmFault, VmFaultInfo
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_KILLABLE, TaskState
from refault.linux.include.linux.sched.signal import fatal_signal_pending, signal_pending
from refault.linux.include.uapi.userfaultfd import UffdRange
from refault.linux.kernel.sched.core import schedule, set_current_state, try_to_wake_up
from refault.linux.kernel.sched.wait import (
    WaitQueueEntry,
    WaitQueueHead,
    __remove_wait_queue,
    add_wait_queue,
    list_del_init,
    wake_up_poll,
)
from refault.linux.modelled import current, current_kernel, modelled_function
from refault.patches.patch import Patch


def _nopage_on_release(vmf: VmFaultInfo, ctx: UserfaultfdCtx | None) -> VmFault | None:
    if ctx is None or ctx.features.read() & UffdFeature.SIGBUS:
        return VmFault.SIGBUS
    if ctx.user_mode_only and not vmf.flags & FaultFlag.USER:
        return VmFault.SIGBUS
    if ctx.released.read():
        return VmFault.NOPAGE
    if not vmf.flags & FaultFlag.ALLOW_RETRY:
        return VmFault.SIGBUS
    return VmFault.RETRY if vmf.flags & FaultFlag.RETRY_NOWAIT else None


uffd_release_retry = Patch(
    name="uffd_release_retry",
    title="mm/userfaultfd: fix release hang over concurrent GUP",
    kind="fix",
    commit="fe4cdc2c4e24",
    since="6.15",
    source="Peter Xu, 2025; to a fault on a userfaultfd that is being closed, RETRY for NOPAGE",
    replaces={"userfault_refused": _nopage_on_release},
    stable={"6.12": "6.12.24"},
)


def _signalled(vmf: VmFaultInfo) -> bool:
    """Whether a signal ends the wait: any if user mode faulted, else a fatal one."""
    user = bool(vmf.flags & FaultFlag.USER)
    return signal_pending(current()) if user else fatal_signal_pending(current())


def _sleep_until_waken(ctx: UserfaultfdCtx, vmf: VmFaultInfo, must_wait: bool) -> VmFault:
    if not must_wait or ctx.released.read() or _signalled(vmf):
        return VmFault.RETRY
    wake_up_poll(ctx.fd_wqh)
    schedule()
    while not current().wq_flag.read():
        restart()
        set_current_state(userfaultfd_get_blocking_state(vmf.flags))
        if current().wq_flag.read() or ctx.released.read():
            break
        if _signalled(vmf):
            break
        schedule()
    current().wq_flag.write(False)
    return VmFault.RETRY | VmFault.MAJOR


def _wake_and_say_so(
    q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: UffdRange
) -> int:
    if entry.msg is not None and not key.covers(entry.msg.address):
        return 0
    task = current_kernel().task(entry.task)
    task.wq_flag.write(True)
    if not try_to_wake_up(task, mode):
        return 0
    list_del_init(q, entry)
    return 1


uffd_wait_once = Patch(
    name="uffd_wait_once",
    title="userfaultfd: simplify fault handling",
    kind="fix",
    commit="f9bf352224d7",
    since="5.9",
    source="Linus Torvalds, 2020; before it a fault slept on until userfaultfd woke it",
    replaces={
        "sleep_on_uwq": _sleep_until_waken,
        "userfaultfd_wake_function": _wake_and_say_so,
    },
)


def _base(name: str) -> Callable[..., Any]:
    """The function of the base kernel."""
    found = modelled_function(name)
    assert found is not None
    return found.function


def _state_by_mode(flags: FaultFlag) -> TaskState:
    user = FaultFlag.USER | FaultFlag.KILLABLE
    return TASK_INTERRUPTIBLE if flags & user == user else TASK_KILLABLE


fault_flag_interruptible = Patch(
    name="fault_flag_interruptible",
    title="mm: introduce FAULT_FLAG_INTERRUPTIBLE",
    kind="fix",
    commit="c270a7eedcf2",
    since="5.7",
    source="Peter Xu, 2020; before it a fault of the kernel slept until it was served or killed",
    replaces={"userfaultfd_get_blocking_state": _state_by_mode},
)


uffd_waken = Patch(
    name="uffd_waken",
    title="userfaultfd: fix SIGBUS resulting from false rwsem wakeups",
    kind="fix",
    commit="15a77c6fe494",
    since="4.10",
    source="Andrea Arcangeli, 2016; it brought the sleep that only userfaultfd ends, which was no "
    "longer needed when a fault could be retried more than once",
    replaces={name: _base(name) for name in uffd_wait_once.replaces},
    over=("uffd_wait_once",),
)


def _refile_in_plain_sight(ctx: UserfaultfdCtx, uwq: WaitQueueEntry) -> None:
    __remove_wait_queue(ctx.fault_pending_wqh, uwq)
    add_wait_queue(ctx.fault_wqh, uwq)


refile_seq = Patch(
    name="refile_seq",
    title="userfaultfd: avoid missing wakeups during refile in userfaultfd_read",
    kind="fix",
    commit="2c5b7e1be74f",
    since="4.3",
    source="Andrea Arcangeli, 2015; merged together with userfaultfd itself",
    replaces={"refile": _refile_in_plain_sight},
)
