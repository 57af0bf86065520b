"""A task's signals, and the questions that sleepers ask (``include/linux/sched/signal.h``).

The tests are lockless: a signal is pending from the moment that ``TIF_SIGPENDING`` is set, which
comes after it was queued and before the wake-up. ``fatal_signal_pending()`` looks at the thread's
own set only, so a signal that kills the process is fatal to the code of mm once
``complete_signal()`` has turned it into a SIGKILL for each thread.

A thread that belongs to no process has no signals: all of these are false of it, at no cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore.errors import UserError
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_WAKEKILL,
    Pf,
    TaskState,
    Tif,
)
from refault.linux.include.linux.signal import SIG_KERNEL_ONLY_MASK
from refault.linux.include.uapi.signal import (
    EMPTY,
    SIGKILL,
    Disposition,
    Handler,
    Sigaction,
    Signal,
    Sigset,
)
from refault.linux.kernel.locking.spinlock import SpinLock
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.include.linux.mm_types import MmStruct, VmFault
    from refault.linux.task import Task


class ThreadSignals(NamedTuple):
    """What of a thread's ``task_struct`` has to do with signals.

    ``tif`` are its flags in ``thread_info``, ``pending`` its private set, ``flags`` the ``PF_``
    ones; ``stop`` is ``JOBCTL_STOP_PENDING``: it shall take part in the stop of its group.
    """

    tif: Tif = Tif.NONE
    pending: Sigset = EMPTY
    blocked: Sigset = EMPTY
    flags: Pf = Pf.NONE
    stop: bool = False

    @property
    def sigpending(self) -> bool:
        """``task_sigpending()``."""
        return bool(self.tif & Tif.SIGPENDING)

    @property
    def killed(self) -> bool:
        """Whether SIGKILL is in the private set."""
        return SIGKILL in self.pending

    @property
    def exiting(self) -> bool:
        """Whether the thread is on its way out, or gone."""
        return bool(self.flags & Pf.EXITING)


class SharedSignals(NamedTuple):
    """What the threads of a process share: ``signal_struct``, as far as signals go.

    ``group_exit`` is the signal of which the whole process dies, ``core`` whether one of its
    threads dumps core first; ``target`` is ``curr_target``, the thread that was told last;
    ``defaulted`` are signals whose handler the kernel has taken away.
    """

    pending: Sigset = EMPTY
    group_exit: Signal | None = None
    core: bool = False
    target: int = 0
    defaulted: Sigset = EMPTY


class SignalStruct:
    """A process: its threads, what it does with signals, and those sent to it as a whole.

    ``siglock`` covers all of it, and the sets of its threads. ``exited`` are the threads that have
    dropped the address space, ``guests`` those of others that keep it in use meanwhile.
    """

    def __init__(self, program: Program, mm: MmStruct) -> None:
        prefix = "" if mm.name == "mm" else f"{mm.name}."
        self.name = mm.name
        self.mm = mm
        self.siglock = SpinLock(program, f"{prefix}siglock", quiet=True)
        self.shared: Cell[SharedSignals] = program.cell(f"{prefix}signal", SharedSignals())
        self.exited: Cell[tuple[str, ...]] = program.cell(f"{prefix}exited", ())
        self.guests: Cell[tuple[str, ...]] = program.cell(f"{prefix}mm_guests", ())
        self.actions: dict[Signal, Sigaction] = {}
        self.threads: list[Task] = []

    def catch(self, sig: Signal, handler: Handler | Disposition | Sigaction) -> None:
        """``sigaction(2)``, before the story begins."""
        action = handler if isinstance(handler, Sigaction) else Sigaction(handler)
        if sig in SIG_KERNEL_ONLY_MASK:
            raise UserError(f"{sig} cannot be caught or ignored", "leave it to the kernel")
        if self.actions.setdefault(sig, action) != action:
            raise UserError(
                f"two threads of {self} have different handlers for {sig}",
                "handlers belong to the process: give each signal one of them",
            )

    def action(self, sig: Signal, shared: SharedSignals) -> Sigaction:
        """What the process does with a signal."""
        if sig in shared.defaulted:
            return Sigaction()
        return self.actions.get(sig, Sigaction())

    def __repr__(self) -> str:
        return self.name


def _pending(signals: ThreadSignals) -> bool:
    return bool(signals.tif)


def _fatal(signals: ThreadSignals) -> bool:
    return signals.sigpending and signals.killed


def _pending_state(signals: ThreadSignals, state: TaskState) -> bool:
    if not state & (TASK_INTERRUPTIBLE | TASK_WAKEKILL) or not signals.tif:
        return False
    return bool(state & TASK_INTERRUPTIBLE) or signals.killed


@kernel_function("include/linux/sched/signal.h", quiet=True)
def signal_pending(task: Task) -> bool:
    """Tell whether a task should go back to user mode, for a signal or for task work."""
    return task.signals is not None and task.signals.peek(_pending)


@kernel_function("include/linux/sched/signal.h", quiet=True)
def fatal_signal_pending(task: Task) -> bool:
    """Tell whether a task is being killed, as far as it has been told."""
    return task.signals is not None and task.signals.peek(_fatal)


@kernel_function("include/linux/sched/signal.h", quiet=True)
def signal_pending_state(state: TaskState, task: Task) -> bool:
    """Tell whether a signal is pending that ends a sleep in ``state``."""
    if task.signals is None or not state & (TASK_INTERRUPTIBLE | TASK_WAKEKILL):
        return False
    return task.signals.peek(_pending_state, state)


@kernel_function("include/linux/sched/signal.h", quiet=True)
def fault_signal_pending(ret: VmFault, user_mode: bool) -> bool:
    """Tell whether a fault that asks to be retried should be given up for a signal.

    ``user_mode`` is what ``user_mode(regs)`` says of the fault: in the kernel only SIGKILL counts.
    The flags are read now, after the handler's return, so a signal that came too late to end its
    sleep counts as well.
    """
    if not ret & type(ret).RETRY:
        return False
    return fatal_signal_pending(current()) or (user_mode and signal_pending(current()))


def killed(signals: ThreadSignals) -> bool:
    """Tell whether a task has been killed and told so; for operations on its cell."""
    return _fatal(signals)


def interrupts(signals: ThreadSignals, state: TaskState) -> bool:
    """``signal_pending_state()`` as a condition on a task's cell, to wait for."""
    return _pending_state(signals, state)
