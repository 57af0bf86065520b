"""What becomes of a system call that a signal interrupts."""

from __future__ import annotations

from refault.explore import choose
from refault.linux import Kernel
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_RUNNING
from refault.linux.include.linux.sched.signal import signal_pending
from refault.linux.include.uapi.errno import (
    EFAULT,
    EINTR,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
)
from refault.linux.include.uapi.signal import (
    SA_RESTART,
    SIGCONT,
    SIGSTOP,
    SIGUSR1,
    SIGUSR2,
)
from refault.linux.kernel.sched.core import __set_current_state, schedule, set_current_state
from refault.linux.kernel.signal import set_current_blocked, set_notify_signal
from refault.linux.modelled import current
from refault.scenarios.api import scenario

VETTER = "LKML 2018-04-04, Daniel Vetter: Signal handling in a page fault handler"
OWN = "kernel/signal.c of 6.18: a story of our own"

SHORT = 3
"""A short count, as of a read(2) or write(2) that got half way."""

RESTARTED = {
    (-ERESTARTSYS, "handler"): False,
    (-ERESTARTSYS, "SA_RESTART"): True,
    (-ERESTARTSYS, "no handler"): True,
    (-ERESTARTNOINTR, "handler"): True,
    (-ERESTARTNOINTR, "SA_RESTART"): True,
    (-ERESTARTNOINTR, "no handler"): True,
    (-ERESTARTNOHAND, "handler"): False,
    (-ERESTARTNOHAND, "SA_RESTART"): False,
    (-ERESTARTNOHAND, "no handler"): True,
    (-ERESTART_RESTARTBLOCK, "handler"): False,
    (-ERESTART_RESTARTBLOCK, "SA_RESTART"): False,
    (-ERESTART_RESTARTBLOCK, "no handler"): True,
}
"""Which results have a system call made again, by what takes the signal; signal(7) says so too."""


@scenario(source=OWN, expect={"": "holds"})
def restart_table(k: Kernel) -> None:
    """An interrupted system call is restarted, or fails with -EINTR, as signal(7) has it.

    Where it is not one of the four restart codes that it returns, nothing becomes of it.
    """
    process = k.mm()
    told = k.program.cell("told", "")
    calls = k.program.cell("calls", 0)

    @k.thread(process=process, handlers={SIGUSR1: _nothing, SIGUSR2: SA_RESTART(_nothing)})
    def worker() -> None:
        codes = sorted({code for code, _ in RESTARTED})
        ret = choose(*codes, -EINTR, -EFAULT, SHORT)
        came = k.syscall(lambda: interrupted(ret))
        again = RESTARTED.get((ret, told.read()), False)
        assert calls.read() == (2 if again else 1), "made again, or not, against the table"
        after = 0 if again else -EINTR if ret in codes else ret
        assert came == after, f"returned {came}"

    def interrupted(ret: int) -> int:
        if calls.update(_one_more):
            return 0
        set_current_state(TASK_INTERRUPTIBLE)
        if not told.read():
            schedule()
        while not signal_pending(current()):
            set_current_state(TASK_INTERRUPTIBLE)
            schedule()
        __set_current_state(TASK_RUNNING)
        return ret

    @k.thread
    def sender() -> None:
        how = choose("handler", "SA_RESTART", "no handler", "task work")
        calls.wait(_begun)
        told.write(how if how != "task work" else "no handler")
        if how == "handler":
            k.kill(worker, SIGUSR1)
        elif how == "SA_RESTART":
            k.kill(worker, SIGUSR2)
        elif how == "task work":
            set_notify_signal(k.task("worker"))
        else:
            k.kill(process, SIGSTOP)
            k.kill(process, SIGCONT)


def _one_more(calls: int) -> tuple[int, int]:
    return calls + 1, calls


def _begun(calls: int) -> bool:
    return calls > 0


def _nothing() -> None:
    """A handler that has nothing to do."""


@scenario(source=VETTER, claims=("4",), expect={"": "holds"})
def efault_is_never_restarted(k: Kernel) -> None:
    """A system call that failed with -EFAULT is not made again, whatever the signal's handler.

    So where a copy from user memory was given up for a signal, the program sees -EFAULT.
    """
    process = k.mm()
    calls = k.program.cell("calls", 0)

    @k.thread(process=process, handlers={SIGUSR1: SA_RESTART(_nothing)})
    def program() -> None:
        k.syscall(copy)
        assert calls.read() == 1, "made again"

    def copy() -> int:
        calls.update(_one_more)
        return -EFAULT if signal_pending(current()) else 0

    @k.thread
    def sender() -> None:
        k.kill(program, SIGUSR1)


def _wait_for_signal(k: Kernel, *, blocked: bool) -> None:
    """A program sleeps until its handler has run: by pause(2), or by sigsuspend(2)."""
    process = k.mm()
    ran = k.program.cell("ran", False)

    def handler() -> None:
        ran.write(True)

    def pause() -> int:
        while not signal_pending(current()):
            set_current_state(TASK_INTERRUPTIBLE)
            schedule()
        __set_current_state(TASK_RUNNING)
        return -ERESTARTNOHAND

    def sigsuspend() -> int:
        set_current_blocked(())
        return pause()

    @k.thread(process=process, handlers={SIGUSR1: handler}, blocked=(SIGUSR1,) if blocked else ())
    def program() -> None:
        if not ran.read():
            k.syscall(sigsuspend if blocked else pause)

    @k.thread
    def sender() -> None:
        k.kill(program, SIGUSR1)


@scenario(source="pause(2): a story of our own", expect={"": "deadlock"})
def pause_after_a_look(k: Kernel) -> None:
    """A program that looks for its handler's flag and then sleeps in pause(2) is woken: refuted."""
    _wait_for_signal(k, blocked=False)


@scenario(source="sigsuspend(2): a story of our own", expect={"": "holds"})
def sigsuspend_after_a_look(k: Kernel) -> None:
    """With the signal blocked until it sleeps, in sigsuspend(2), it is."""
    _wait_for_signal(k, blocked=True)
