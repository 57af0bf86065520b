"""Taking signals, on the way back to user mode (``kernel/signal.c``, ``arch/*/kernel/signal.c``).

SIGKILL comes first, then the synchronous ones of the thread's own set, then the others, then those
of the process. Under ``siglock`` again, which others see only when it is given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import atomic, note, restart
from refault.linux.include.linux.sched import TASK_STOPPED, Tif
from refault.linux.include.linux.sched.signal import SharedSignals, ThreadSignals
from refault.linux.include.linux.signal import (
    SIG_KERNEL_COREDUMP_MASK,
    SIG_KERNEL_IGNORE_MASK,
    SIG_KERNEL_ONLY_MASK,
    SIG_KERNEL_STOP_MASK,
    SYNCHRONOUS_MASK,
)
from refault.linux.include.uapi.signal import (
    SIG_DFL,
    SIG_IGN,
    SIGKILL,
    Handler,
    Sa,
    Signal,
    Sigset,
    sigset,
)
from refault.linux.kernel.exit import do_group_exit
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import schedule
from refault.linux.kernel.signal.send import (
    process_of,
    retarget_shared_pending,
    signal_wake_up,
    signals_of,
    without,
)
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.linux.task import Task


class KSignal(NamedTuple):
    """``struct ksignal``: a signal that a handler is to be run for, and the mask to go back to."""

    sig: Signal
    restart: bool
    saved: Sigset


def _no_notify(signals: ThreadSignals) -> tuple[ThreadSignals, bool]:
    left = signals.tif & ~Tif.NOTIFY_SIGNAL
    return signals._replace(tif=left), signals.sigpending


def _recalc(signals: ThreadSignals, shared: Sigset) -> tuple[ThreadSignals, None]:
    """``recalc_sigpending()``: the flag tells whether there is anything for this thread."""
    wanted = without((*signals.pending, *shared), frozenset(signals.blocked))
    tif = signals.tif & ~Tif.SIGPENDING
    if wanted or signals.stop:
        tif |= Tif.SIGPENDING
    return signals._replace(tif=tif), None


def _first(pending: Sigset, blocked: Sigset) -> Signal | None:
    """``next_signal()``: synchronous ones first, then by number."""
    wanted = without(pending, frozenset(blocked))
    synchronous = [sig for sig in wanted if sig in SYNCHRONOUS_MASK]
    return next(iter([*synchronous, *wanted]), None)


def _remove(signals: ThreadSignals, sig: Signal) -> tuple[ThreadSignals, None]:
    return signals._replace(pending=without(signals.pending, frozenset({sig}))), None


def _remove_shared(shared: SharedSignals, sig: Signal) -> tuple[SharedSignals, None]:
    return shared._replace(pending=without(shared.pending, frozenset({sig}))), None


@kernel_function("kernel/signal.c", quiet=True)
def dequeue_signal() -> Signal | None:
    """Take the next signal of the running thread; the caller holds ``siglock``, in one step."""
    mine, process = signals_of(current()), process_of(current())
    signals, shared = mine.read(), process.shared.read()
    dying = shared.group_exit is not None
    sig = SIGKILL if dying else _first(signals.pending, signals.blocked)
    if sig is not None:
        mine.update(_remove, sig)
    else:
        sig = _first(shared.pending, signals.blocked)
        if sig is not None:
            process.shared.update(_remove_shared, sig)
    mine.update(_recalc, process.shared.read().pending)
    return sig


@kernel_function("kernel/signal.c")
def get_signal() -> KSignal | None:
    """Take signals until one has a handler; return it, or None if none is left.

    Those that stop the thread are obeyed here; from one that kills it there is no return.
    """
    mine, process = signals_of(current()), process_of(current())
    if not mine.update(_no_notify):
        note("task work")
        return None
    while True:
        restart()
        spin_lock(process.siglock)
        if mine.read().stop:
            do_signal_stop(False)
            continue
        with atomic():
            sig = dequeue_signal()
            shared = process.shared.read()
        if sig is None:
            spin_unlock(process.siglock)
            return None
        action = process.action(sig, shared)
        handled = action.sa_handler not in (SIG_DFL, SIG_IGN) and sig not in SIG_KERNEL_ONLY_MASK
        if handled:
            ksig = KSignal(sig, bool(action.sa_flags & Sa.RESTART), mine.read().blocked)
            spin_unlock(process.siglock)
            return ksig
        if sig in SIG_KERNEL_STOP_MASK and action.sa_handler is SIG_DFL:
            do_signal_stop(True)
            continue
        spin_unlock(process.siglock)
        if action.sa_handler is SIG_IGN or sig in SIG_KERNEL_IGNORE_MASK:
            continue
        do_group_exit(sig, core=sig in SIG_KERNEL_COREDUMP_MASK)


def _to_stop(signals: ThreadSignals) -> tuple[ThreadSignals, None]:
    return signals._replace(stop=True), None


def _stopped(signals: ThreadSignals) -> tuple[ThreadSignals, None]:
    return signals._replace(stop=False), None


def _can_stop(thread: Task) -> bool:
    return not signals_of(thread).read().exiting and thread.state.read() != TASK_STOPPED


@kernel_function("kernel/signal.c", label=lambda first: "do_signal_stop")
def do_signal_stop(first: bool) -> None:
    """Stop, and if this is the ``first`` thread to do so, tell the others to.

    Entered with ``siglock``, which is dropped. SIGCONT ends it, and SIGKILL.
    """
    process = process_of(current())
    if first:
        for thread in process.threads:
            if thread is not current() and _can_stop(thread):
                signals_of(thread).update(_to_stop)
                signal_wake_up(thread, False)
    with atomic():
        signals_of(current()).update(_stopped)
        signals_of(current()).update(_recalc, process.shared.read().pending)
        current().state.write(TASK_STOPPED)
        spin_unlock(process.siglock)
    schedule()


def _block(signals: ThreadSignals, blocked: Sigset) -> tuple[ThreadSignals, None]:
    return signals._replace(blocked=blocked), None


@kernel_function("kernel/signal.c", quiet=True)
def set_current_blocked(blocked: Sigset) -> None:
    """Set the mask of the running thread; what it unblocks is pending at once.

    A signal to the process that the thread had been told of, and now blocks, goes to another one.
    """
    mine, process = signals_of(current()), process_of(current())
    allowed = without(blocked, SIG_KERNEL_ONLY_MASK)
    spin_lock(process.siglock)
    before = mine.read()
    if before.sigpending and len(process.threads) > 1:
        retarget_shared_pending(without(allowed, frozenset(before.blocked)))
    with atomic():
        mine.update(_block, allowed)
        mine.update(_recalc, process.shared.read().pending)
        spin_unlock(process.siglock)


def _action_of(ksig: KSignal) -> tuple[Handler, Sigset]:
    action = process_of(current()).actions[ksig.sig]
    own = () if action.sa_flags & Sa.NODEFER else (ksig.sig,)
    assert callable(action.sa_handler)
    return action.sa_handler, sigset((*ksig.saved, *action.sa_mask, *own))


@kernel_function("arch/x86/kernel/signal.c", quiet=True)
def handle_signal(ksig: KSignal) -> None:
    """Make the frame for a handler; the handler's mask holds from here on."""
    _handler, blocked = _action_of(ksig)
    set_current_blocked(blocked)


def run_handler(ksig: KSignal) -> None:
    """Run a handler, which is code of the story, in user mode."""
    handler, _blocked = _action_of(ksig)
    handler()
