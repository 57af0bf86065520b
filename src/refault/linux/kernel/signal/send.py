"""Sending signals (``kernel/signal.c``).

All of it happens under ``siglock``. A signal that the process ignores is dropped without a trace;
any other is queued, for the thread or for the process, and then *some* thread that wants it is
told: first the flag, then a wake-up. Each is a step of its own, for sleepers look at flag and set
without the lock.

A signal whose default action kills, other than by a core dump, is fatal at once: the whole process
is marked as exiting, and each of its threads gets a SIGKILL of its own. A core-dump signal kills
only when a thread dequeues it.

A thread in user mode notices at once: the interrupt that tells it so takes no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import atomic, note
from refault.linux.include.linux.sched import (
    __TASK_STOPPED,
    __TASK_TRACED,
    TASK_INTERRUPTIBLE,
    TASK_RUNNING,
    TASK_WAKEKILL,
    TaskState,
    Tif,
)
from refault.linux.include.linux.sched.signal import SharedSignals, SignalStruct, ThreadSignals
from refault.linux.include.linux.signal import (
    SIG_KERNEL_COREDUMP_MASK,
    SIG_KERNEL_IGNORE_MASK,
    SIG_KERNEL_STOP_MASK,
)
from refault.linux.include.uapi.signal import (
    SIG_DFL,
    SIG_IGN,
    SIGCONT,
    SIGKILL,
    Sigaction,
    Signal,
    Sigset,
    sigset,
)
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import try_to_wake_up
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell
    from refault.linux.task import Task


def signals_of(task: Task) -> Cell[ThreadSignals]:
    """Return the cell of a thread that can be sent signals."""
    assert task.signals is not None
    return task.signals


def process_of(task: Task) -> SignalStruct:
    """Return the process of a thread that can be sent signals."""
    assert task.process is not None
    return task.process


def _set_tif(signals: ThreadSignals, flag: Tif) -> tuple[ThreadSignals, None]:
    return signals._replace(tif=signals.tif | flag), None


def _queue(signals: ThreadSignals, sig: Signal) -> tuple[ThreadSignals, None]:
    return signals._replace(pending=sigset((*signals.pending, sig))), None


def _queue_shared(shared: SharedSignals, sig: Signal) -> tuple[SharedSignals, None]:
    return shared._replace(pending=sigset((*shared.pending, sig))), None


def without(pending: Sigset, drop: frozenset[Signal]) -> Sigset:
    """Return the signals of a set that are not among ``drop``."""
    return tuple(sig for sig in pending if sig not in drop)


def _flush(signals: ThreadSignals, drop: frozenset[Signal]) -> tuple[ThreadSignals, None]:
    return signals._replace(pending=without(signals.pending, drop)), None


def _flush_shared(shared: SharedSignals, drop: frozenset[Signal]) -> tuple[SharedSignals, None]:
    return shared._replace(pending=without(shared.pending, drop)), None


def _no_stop(signals: ThreadSignals) -> tuple[ThreadSignals, None]:
    return signals._replace(stop=False), None


@kernel_function("kernel/signal.c", label=lambda task, state: f"signal_wake_up_state({task})")
def signal_wake_up_state(task: Task, state: TaskState) -> None:
    """Set the flag, and wake the task if it sleeps interruptibly or in ``state``."""
    signals_of(task).update(_set_tif, Tif.SIGPENDING)
    try_to_wake_up(task, state | TASK_INTERRUPTIBLE)


@kernel_function("include/linux/sched/signal.h", quiet=True)
def signal_wake_up(task: Task, fatal: bool) -> None:
    """Tell a task of a signal; a fatal one also ends killable sleeps and stops."""
    signal_wake_up_state(task, TASK_WAKEKILL | __TASK_TRACED if fatal else TASK_RUNNING)


@kernel_function("include/linux/sched/signal.h", label=lambda task: f"set_notify_signal({task})")
def set_notify_signal(task: Task) -> None:
    """Have a task go through its return to user mode soon, for work that it shall do there."""
    signals_of(task).update(_set_tif, Tif.NOTIFY_SIGNAL)
    try_to_wake_up(task, TASK_INTERRUPTIBLE)


def sig_ignored(action: Sigaction, sig: Signal) -> bool:
    """Whether the process ignores a signal, by its choice or by default."""
    if action.sa_handler is SIG_DFL:
        return sig in SIG_KERNEL_IGNORE_MASK
    return action.sa_handler is SIG_IGN


def _sig_fatal(action: Sigaction, sig: Signal) -> bool:
    survived = SIG_KERNEL_IGNORE_MASK | SIG_KERNEL_STOP_MASK
    return action.sa_handler is SIG_DFL and sig not in survived


@kernel_function("kernel/signal.c", quiet=True)
def prepare_signal(sig: Signal, process: SignalStruct, task: Task) -> bool:
    """Let stops and SIGCONT undo each other; tell whether the signal is to be queued.

    The caller holds ``siglock`` and does this in one step with what follows.
    """
    shared = process.shared.read()
    if shared.group_exit is not None:
        return shared.core and sig is SIGKILL
    if sig in SIG_KERNEL_STOP_MASK:
        _flush_all(process, frozenset({SIGCONT}))
    elif sig is SIGCONT:
        _flush_all(process, SIG_KERNEL_STOP_MASK)
        for thread in process.threads:
            signals_of(thread).update(_no_stop)
            try_to_wake_up(thread, __TASK_STOPPED)
    blocked = sig in signals_of(task).read().blocked
    return blocked or not sig_ignored(process.action(sig, shared), sig)


def _flush_all(process: SignalStruct, drop: frozenset[Signal]) -> None:
    process.shared.update(_flush_shared, drop)
    for thread in process.threads:
        signals_of(thread).update(_flush, drop)


@kernel_function("kernel/signal.c", quiet=True)
def wants_signal(sig: Signal, task: Task) -> bool:
    """Tell whether a thread could take a signal now."""
    signals = signals_of(task).read()
    if sig in signals.blocked or signals.exiting:
        return False
    if sig is SIGKILL:
        return True
    state = task.state.read()
    if state & (__TASK_STOPPED | __TASK_TRACED):
        return False
    return state == TASK_RUNNING or not signals.sigpending


def _aim(shared: SharedSignals, thread: int) -> tuple[SharedSignals, None]:
    return shared._replace(target=thread), None


def _choose(sig: Signal, process: SignalStruct, task: Task, group: bool) -> Task | None:
    """The thread to tell, or nobody: the signal stays pending until one unblocks it."""
    if wants_signal(sig, task):
        return task
    if not group or len(process.threads) == 1:
        return None
    first = process.shared.read().target
    for number in range(first, first + len(process.threads)):
        at = number % len(process.threads)
        if wants_signal(sig, process.threads[at]):
            process.shared.update(_aim, at)
            return process.threads[at]
    return None


class _Sent(NamedTuple):
    """Whom to tell of a signal, and whether it kills the process at once."""

    task: str = ""
    fatal: bool = False


def _enqueue(sig: Signal, process: SignalStruct, task: Task, group: bool) -> _Sent:
    """The part of sending that only those who hold ``siglock`` can see: one step."""
    if not prepare_signal(sig, process, task):
        return _Sent()
    signals, shared = signals_of(task).read(), process.shared.read()
    if sig in (shared.pending if group else signals.pending):
        return _Sent()
    if group:
        process.shared.update(_queue_shared, sig)
    else:
        signals_of(task).update(_queue, sig)
    chosen = _choose(sig, process, task, group)
    if chosen is None:
        return _Sent()
    fatal = _sig_fatal(process.action(sig, shared), sig) and sig not in SIG_KERNEL_COREDUMP_MASK
    if fatal:
        process.shared.update(_exit_group, sig)
        return _Sent(chosen.name, True)
    return _Sent(chosen.name)


def _exit_group(shared: SharedSignals, sig: Signal) -> tuple[SharedSignals, None]:
    return shared._replace(group_exit=sig), None


@kernel_function("kernel/signal.c", quiet=True)
def send_signal_locked(sig: Signal, task: Task, group: bool) -> None:
    """Queue a signal and tell a thread of it; the caller holds ``siglock``."""
    process = process_of(task)
    with atomic():
        sent = _enqueue(sig, process, task, group)
    if sent.fatal:
        kill_threads(process.threads)
    elif sent.task:
        chosen = next(t for t in process.threads if t.name == sent.task)
        signal_wake_up(chosen, sig is SIGKILL)
    else:
        note(f"{sig} tells nobody")


def kill_threads(threads: list[Task]) -> None:
    """Give each of some threads a SIGKILL of its own, and tell it."""
    for thread in threads:
        with atomic():
            signals_of(thread).update(_no_stop)
            signals_of(thread).update(_queue, SIGKILL)
        signal_wake_up(thread, True)


@kernel_function(
    "kernel/signal.c",
    label=lambda sig, task, group: f"{'kill' if group else 'tgkill'}({task}, {sig})",
)
def do_send_sig_info(sig: Signal, task: Task, group: bool) -> int:
    """Send a signal to a thread, or by way of it to its process."""
    process = process_of(task)
    spin_lock(process.siglock)
    send_signal_locked(sig, task, group)
    spin_unlock(process.siglock)
    return 0


@kernel_function("kernel/signal.c", quiet=True)
def group_send_sig_info(sig: Signal, process: SignalStruct) -> int:
    """Send a signal to a process: to its first thread that wants it."""
    return do_send_sig_info(sig, process.threads[0], True)


@kernel_function("kernel/signal.c", quiet=True)
def retarget_shared_pending(which: Sigset) -> None:
    """Tell other threads of signals to the process that the running one will not take.

    The caller holds ``siglock``.
    """
    process = process_of(current())
    left = [sig for sig in process.shared.read().pending if sig in which]
    for thread in process.threads if left else ():
        signals = signals_of(thread).read()
        if thread is current() or signals.exiting:
            continue
        taken = [sig for sig in left if sig not in signals.blocked]
        left = [sig for sig in left if sig not in taken]
        if taken and not signals.sigpending:
            signal_wake_up(thread, False)


def _unblock(signals: ThreadSignals, sig: Signal) -> tuple[ThreadSignals, None]:
    return signals._replace(blocked=without(signals.blocked, frozenset({sig}))), None


def _reset(shared: SharedSignals, sig: Signal) -> tuple[SharedSignals, None]:
    return shared._replace(defaulted=sigset((*shared.defaulted, sig))), None


@kernel_function("kernel/signal.c", label=lambda sig: f"force_sig({sig})")
def force_sig(sig: Signal) -> None:
    """Send the running thread a signal that it cannot evade, as for a fault of its own.

    If it is blocked or ignored there, it is unblocked, and its action is the default from now on.
    """
    task, process = current(), process_of(current())
    spin_lock(process.siglock)
    with atomic():
        action = process.action(sig, process.shared.read())
        blocked = sig in signals_of(task).read().blocked
        if blocked or sig_ignored(action, sig):
            process.shared.update(_reset, sig)
            signals_of(task).update(_unblock, sig)
    send_signal_locked(sig, task, False)
    if not signals_of(task).read().sigpending:
        signal_wake_up(task, False)
    spin_unlock(process.siglock)
