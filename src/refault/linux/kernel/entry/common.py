"""Between the kernel and user mode (``kernel/entry/common.c``, ``arch/*/kernel/signal.c``).

A thread goes back to user mode only with nothing left to do for it: it takes its signals first. A
handler is code of the story, run in user mode, so it may fault, make system calls and be
interrupted itself. Frames are made for all signals that are pending, and the last one made runs
first.

What an interrupted system call comes to is decided by what it returned and by the first signal
that was taken:

========================= ========== =========================== ==========
returned                  a handler  a handler with SA_RESTART   no handler
========================= ========== =========================== ==========
``-ERESTARTSYS``          -EINTR     again                       again
``-ERESTARTNOINTR``       again      again                       again
``-ERESTARTNOHAND``       -EINTR     -EINTR                      again
``-ERESTART_RESTARTBLOCK`` -EINTR    -EINTR                      again
anything else             as it is   as it is                    as it is
========================= ========== =========================== ==========

A fault of user mode just happens again, for the instruction has not been executed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, ParamSpec, TypeVar, cast

from refault.explore import note, restart, scope
from refault.linux.include.linux.sched.signal import signal_pending
from refault.linux.include.uapi.errno import (
    EINTR,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
)
from refault.linux.kernel.locking.lockdep import (
    enter_syscall,
    in_syscall,
    leave_syscall,
    lockdep_sys_exit,
)
from refault.linux.kernel.signal.deliver import (
    KSignal,
    get_signal,
    handle_signal,
    run_handler,
    set_current_blocked,
)
from refault.linux.modelled import current, kernel_function

P = ParamSpec("P")
R = TypeVar("R")


class Again(Enum):
    """What is to be done in place of returning from a system call."""

    AGAIN = "restart the system call"


AGAIN = Again.AGAIN
RESTARTS = (-ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK)


def after_signal(ret: Hashable, ksig: KSignal | None) -> Hashable:
    """What a system call that returned ``ret`` comes to after a signal; None: without handler."""
    if type(ret) is not int or ret not in RESTARTS:
        return ret
    again = ksig is None or ret == -ERESTARTNOINTR or (ret == -ERESTARTSYS and ksig.restart)
    return AGAIN if again else -EINTR


@kernel_function("kernel/entry/common.c", quiet=True)
def exit_to_user_mode_loop(ret: Hashable) -> Hashable:
    """Take what signals there are; ``ret`` is what a system call returned, or None in a fault.

    Returns what the system call returns, or ``AGAIN``.
    """
    frames: list[KSignal] = []
    while signal_pending(current()):
        ksig = get_signal()
        ret = after_signal(ret, ksig)
        if ksig is not None:
            handle_signal(ksig)
            frames.append(ksig)
    if not frames and ret == -ERESTARTNOINTR:
        ret = AGAIN
    if ret is AGAIN:
        note("to be restarted")
    for ksig in reversed(frames):
        note(f"handler of {ksig.sig}")
        run_handler(ksig)
        rt_sigreturn(ksig)
    return ret


@kernel_function("arch/x86/kernel/signal.c", quiet=True)
def rt_sigreturn(ksig: KSignal) -> None:
    """Go back to where the handler came in between, with the mask of then."""
    set_current_blocked(ksig.saved)
    exit_to_user_mode_loop(None)


@kernel_function("kernel/entry/common.c", quiet=True)
def irqentry_exit_to_user_mode() -> None:
    """Take signals between two instructions.

    That is at the end of a fault, or of the interrupt that tells a thread in user mode of them.
    """
    lockdep_sys_exit()
    if current().signals is not None:
        exit_to_user_mode_loop(None)


@scope
def do_syscall(call: Callable[[], Any]) -> Any:
    """Make a system call of a thread that can be sent signals, and make it again if need be."""
    while True:
        restart()
        irqentry_exit_to_user_mode()
        ret = _in_kernel(call)
        ret = exit_to_user_mode_loop(ret)
        if ret is not AGAIN:
            return ret


def _in_kernel(call: Callable[[], R]) -> R:
    enter_syscall()
    ret = call()
    leave_syscall()
    lockdep_sys_exit()
    return ret


@scope
def _again(call: Callable[[], Any]) -> Any:
    """Make a system call again that wants to be, for a thread without signals."""
    while True:
        restart()
        ret = _in_kernel(call)
        if type(ret) is not int or ret != -ERESTARTNOINTR:
            return ret


@kernel_function("include/linux/sched/signal.h", quiet=True)
def restart_syscall() -> int:
    """Have the system call made again by way of user mode, so that signals are taken."""
    return -ERESTARTNOINTR


def system_call(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function as a system call: it is interrupted and restarted as the kernel does.

    Within another system call it is just a call.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if in_syscall():
            return function(*args, **kwargs)
        if current().signals is None:
            ret = _in_kernel(lambda: function(*args, **kwargs))
            again = type(ret) is int and ret == -ERESTARTNOINTR
            return _again(lambda: function(*args, **kwargs)) if again else ret
        return cast("R", do_syscall(lambda: function(*args, **kwargs)))

    return call
