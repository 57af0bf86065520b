"""What was proposed against signals in fault handlers of drivers, in 2018 and by practice since.

Proposals that let the task carry how it sleeps set ``sleep_state`` around the handler and put it
back behind it.
"""

from __future__ import annotations

from refault.linux.drivers.gpu.drm.drm_gem import GemObject
from refault.linux.drivers.gpu.drm.i915.i915_gem_mman import vm_fault_gtt
from refault.linux.drivers.gpu.drm.ttm.ttm_bo_vm import ttm_bo_vm_fault
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_RUNNING,
    TaskState,
)
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.errno import EWOULDBLOCK
from refault.linux.include.uapi.signal import SIGKILL, Signal, Sigset, sigset
from refault.linux.kernel.locking.mutex import Mutex, _mutex_lock, mutex_trylock
from refault.linux.kernel.signal import set_current_blocked
from refault.linux.modelled import current
from refault.patches.patch import Patch

THREAD = "LKML 2018-04-04, Vetter and Wilcox: Signal handling in a page fault handler"


def _set_sleep_state(state: TaskState) -> TaskState:
    cell = current().sleep_state
    if cell is None:
        return TASK_RUNNING
    old = cell.read()
    cell.write(state)
    return old


def _restore(saved: TaskState) -> None:
    _set_sleep_state(saved)


def _killable_in_the_kernel(vmf: VmFaultInfo) -> TaskState:
    user = vmf.flags & FaultFlag.USER
    return _set_sleep_state(TASK_INTERRUPTIBLE if user else TASK_KILLABLE)


def _as_the_task_says() -> TaskState:
    cell = current().sleep_state
    killable = cell is not None and cell.read() == TASK_KILLABLE
    return TASK_KILLABLE if killable else TASK_INTERRUPTIBLE


killable_kernel_faults = Patch(
    name="killable_kernel_faults",
    title="drm: sleep killably in faults of the kernel, whatever the sleep",
    kind="proposal",
    source=f"{THREAD}; a flag through all call chains, or in the task, for all that sleeps",
    replaces={
        "vm_fault_begin": _killable_in_the_kernel,
        "vm_fault_end": _restore,
        "interruptible_sleep": _as_the_task_says,
        "interruptible_mutex": _as_the_task_says,
    },
)

sleep_state_of_mutexes = Patch(
    name="sleep_state_of_mutexes",
    title="mutex: take the state of a sleep from the task",
    kind="proposal",
    source=f"{THREAD}; the sketch with what it lacks: mutexes look at sleep_state",
    replaces={
        "vm_fault_begin": _killable_in_the_kernel,
        "vm_fault_end": _restore,
        "interruptible_mutex": _as_the_task_says,
    },
)


def _interruptible(vmf: VmFaultInfo) -> TaskState:
    return _set_sleep_state(TASK_INTERRUPTIBLE)


sleep_state = Patch(
    name="sleep_state",
    title="sched: a task says in which state it sleeps",
    kind="proposal",
    source=f"{THREAD}; the sketch as it was posted",
    replaces={"vm_fault_begin": _interruptible, "vm_fault_end": _restore},
)


def _not_at_all(lock: Mutex) -> int:
    cell = current().sleep_state
    if cell is None or cell.read() != TASK_KILLABLE:
        return _mutex_lock(lock, TASK_INTERRUPTIBLE)
    return 0 if mutex_trylock(lock) else -EWOULDBLOCK


sleep_state_noblock = Patch(
    name="sleep_state_noblock",
    title="mutex: return -EWOULDBLOCK to a task that shall not sleep",
    kind="proposal",
    source=f"{THREAD}; what the sketch was for, told of faults of the kernel",
    replaces={
        "vm_fault_begin": _killable_in_the_kernel,
        "vm_fault_end": _restore,
        "mutex_lock_interruptible": _not_at_all,
    },
)


def _block(vmf: VmFaultInfo) -> Sigset | None:
    cell = current().signals
    if cell is None:
        return None
    saved = cell.read().blocked
    set_current_blocked(sigset(sig for sig in Signal if sig != SIGKILL))
    return saved


def _unblock(saved: Sigset | None) -> None:
    if saved is not None:
        set_current_blocked(saved)


fault_blocks_signals = Patch(
    name="fault_blocks_signals",
    title="drm: block all signals but SIGKILL during a fault",
    kind="proposal",
    source="as ocfs2 and ceph do in their fault handlers",
    replaces={"vm_fault_begin": _block, "vm_fault_end": _unblock},
)


def _drop_and_retry(obj: GemObject, vmf: VmFaultInfo) -> VmFault:
    return ttm_bo_vm_fault(obj, vmf)


i915_drop_and_retry = Patch(
    name="i915_drop_and_retry",
    title="drm/i915: drop mmap_lock to wait in a fault, and say RETRY",
    kind="proposal",
    source="as TTM does",
    replaces={vm_fault_gtt.__name__: _drop_and_retry},
)


def _fail_if_killed(ret: VmFault) -> VmFault:
    killed = ret == VmFault.NOPAGE and fatal_signal_pending(current())
    return VmFault.SIGBUS if killed else ret


fatal_ends_fault = Patch(
    name="fatal_ends_fault",
    title="drm: a fault of a task that is killed fails",
    kind="proposal",
    source="follows from the stories of killed tasks in the catalogue",
    replaces={"vm_fault_result": _fail_if_killed},
)
