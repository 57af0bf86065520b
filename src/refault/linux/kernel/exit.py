"""The end of a thread and of a process (``kernel/exit.c``, ``fs/coredump.c``).

A thread that dies does all of its work here and then is no more: the code of the story that it was
in does not go on, and nothing of it is cleaned up but what the kernel cleans up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from refault.explore import finish
from refault.linux.include.linux.sched import TASK_DEAD, Pf
from refault.linux.include.linux.sched.signal import SharedSignals, ThreadSignals
from refault.linux.include.uapi.signal import SIGKILL, Signal
from refault.linux.kernel.fork import mmput
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.signal.send import (
    kill_threads,
    process_of,
    retarget_shared_pending,
    signals_of,
    without,
)
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.linux.task import Task


def _flag(signals: ThreadSignals, flag: Pf) -> tuple[ThreadSignals, None]:
    return signals._replace(flags=signals.flags | flag), None


def _die_of(shared: SharedSignals, sig: Signal, core: bool) -> tuple[SharedSignals, bool]:
    if shared.group_exit is not None:
        return shared, False
    return shared._replace(group_exit=sig, core=core), True


@kernel_function("kernel/exit.c", label=lambda sig, core=False: f"do_group_exit({sig})")
def do_group_exit(sig: Signal, core: bool = False) -> NoReturn:
    """Kill the other threads of the process, unless that is done already, and exit.

    With ``core`` the thread dumps core first, once the others are gone.
    """
    process = process_of(current())
    spin_lock(process.siglock)
    if process.shared.update(_die_of, sig, core):
        kill_threads(_others())
    else:
        core = False
    spin_unlock(process.siglock)
    if core:
        do_coredump()
    do_exit()


def _others() -> list[Task]:
    me = current()
    threads = process_of(me).threads
    return [t for t in threads if t is not me and not signals_of(t).read().exiting]


def _alone(exited: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return set(others) <= set(exited)


@kernel_function("fs/coredump.c")
def do_coredump() -> None:
    """Wait for the other threads to exit; what is then read of memory is left out."""
    process = process_of(current())
    signals_of(current()).update(_flag, Pf.DUMPCORE)
    others = tuple(t.name for t in process.threads if t is not current())
    process.exited.wait(_alone, others)


@kernel_function("kernel/signal.c", quiet=True)
def exit_signals() -> None:
    """From here on the thread takes no signals; what was meant for it goes to another one."""
    mine, process = signals_of(current()), process_of(current())
    spin_lock(process.siglock)
    mine.update(_flag, Pf.EXITING)
    signals = mine.read()
    if signals.sigpending and len(process.threads) > 1:
        retarget_shared_pending(without(tuple(Signal), frozenset(signals.blocked)))
    spin_unlock(process.siglock)


@kernel_function("kernel/exit.c")
def do_exit() -> NoReturn:
    """Take the thread down: its signals, its address space, and then itself."""
    exit_signals()
    mmput(process_of(current()))
    do_task_dead()


@kernel_function("kernel/sched/core.c", quiet=True)
def do_task_dead() -> NoReturn:
    """Leave the CPU for the last time."""
    current().state.write(TASK_DEAD)
    finish()


def kill_process(sig: Signal = SIGKILL) -> NoReturn:
    """``exit_group(2)`` of the running thread."""
    do_group_exit(sig)
