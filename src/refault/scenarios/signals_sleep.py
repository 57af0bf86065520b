"""Which signals end which sleeps."""

from __future__ import annotations

from refault.explore import atomic, choose
from refault.linux import Kernel
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NORMAL,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    TaskState,
)
from refault.linux.include.linux.sched.signal import signal_pending, signal_pending_state
from refault.linux.include.uapi.errno import ERESTARTSYS
from refault.linux.include.uapi.signal import (
    SIGCONT,
    SIGKILL,
    SIGSEGV,
    SIGSTOP,
    SIGTERM,
    SIGUSR1,
    Signal,
)
from refault.linux.kernel.sched.core import (
    __set_current_state,
    schedule,
    set_current_state,
    try_to_wake_up,
)
from refault.linux.kernel.signal import set_notify_signal
from refault.linux.mm.gup.pages import gup_signal_pending
from refault.linux.modelled import current
from refault.scenarios.api import scenario

OWN = "kernel/signal.c of 6.18: a story of our own"
WILCOX = "LKML 2022-07-04, Matthew Wilcox, Re: [PATCH 1/4] mm/gup: Add FOLL_INTERRUPTIBLE"


def _sleep(state: TaskState) -> int:
    """Sleep once, as a system call that nobody but a signal will end."""
    set_current_state(state)
    schedule()
    __set_current_state(TASK_RUNNING)
    return -ERESTARTSYS if signal_pending(current()) else 0


def _sleeper(k: Kernel, state: TaskState, sig: Signal, *, threads: int = 1) -> None:
    """Threads of one process sleep, and a signal is sent to it; if it wakes them, it kills them."""
    process = k.mm()

    def sleeper() -> None:
        k.syscall(lambda: _sleep(state))
        raise AssertionError("woken, and alive")

    for number in range(threads):
        k.thread(name=f"sleeper{number or ''}", process=process, handlers={SIGUSR1: _caught})(
            sleeper
        )

    @k.thread
    def sender() -> None:
        k.kill(process, sig)


def _caught() -> None:
    """A handler that has nothing to do."""


@scenario(source=OWN, expect={"": "holds"})
def sigterm_kills_killable_sleepers(k: Kernel) -> None:
    """A default SIGTERM is as fatal as SIGKILL: it ends killable sleeps, in every thread."""
    _sleeper(k, TASK_KILLABLE, SIGTERM, threads=2)


@scenario(source=OWN, expect={"": "deadlock"})
def sigsegv_leaves_killable_sleepers(k: Kernel) -> None:
    """A signal that dumps core is fatal to sleepers like any other that kills: refuted.

    It kills only when a thread takes it, and none does while all sleep killably.
    """
    _sleeper(k, TASK_KILLABLE, SIGSEGV)


@scenario(source=OWN, expect={"": "deadlock"})
def handled_signal_leaves_killable_sleepers(k: Kernel) -> None:
    """A signal that is caught ends a killable sleep: refuted."""
    _sleeper(k, TASK_KILLABLE, SIGUSR1)


@scenario(source=OWN, expect={"": "deadlock"})
def sigkill_leaves_uninterruptible_sleepers(k: Kernel) -> None:
    """A task that is killed dies: refuted, for it may sleep uninterruptibly."""
    _sleeper(k, TASK_UNINTERRUPTIBLE, SIGKILL)


@scenario(source=OWN, expect={"": "holds"})
def sigstop_lets_killable_sleepers_be(k: Kernel) -> None:
    """SIGSTOP does not end a killable sleep; the task stops when it comes back, if still told to.

    What it waits for happens between SIGSTOP and SIGCONT, or before, or after.
    """
    process = k.mm()

    cake = k.program.cell("cake", False)

    @k.thread(process=process)
    def sleeper() -> None:
        k.syscall(sleep_for_cake)

    def sleep_for_cake() -> int:
        set_current_state(TASK_KILLABLE)
        if not cake.read():
            schedule()
            assert cake.read(), "woken without cake"
        __set_current_state(TASK_RUNNING)
        return 0

    @k.thread
    def shell() -> None:
        k.kill(process, SIGSTOP)
        k.kill(process, SIGCONT)

    @k.thread
    def baker() -> None:
        cake.write(True)
        try_to_wake_up(k.task("sleeper"), TASK_NORMAL)


def _stop_and_continue(k: Kernel, *, in_order: bool) -> None:
    process = k.mm()

    @k.thread(process=process)
    def job() -> None:
        k.syscall(lambda: 0)

    def stop() -> None:
        k.kill(process, SIGSTOP)

    def go_on() -> None:
        k.kill(process, SIGCONT)

    def stop_and_go_on() -> None:
        stop()
        go_on()

    if in_order:
        k.thread(name="shell")(stop_and_go_on)
    else:
        k.thread(name="ctrl_z")(stop)
        k.thread(name="fg")(go_on)


@scenario(source=OWN, expect={"": "holds"})
def sigcont_after_sigstop(k: Kernel) -> None:
    """SIGCONT undoes an earlier SIGSTOP, whether or not anybody has stopped yet."""
    _stop_and_continue(k, in_order=True)


@scenario(source=OWN, expect={"": "deadlock"})
def sigcont_can_come_too_early(k: Kernel) -> None:
    """A process that gets one SIGSTOP and one SIGCONT goes on: refuted.

    SIGCONT is not remembered: one that comes first is lost.
    """
    _stop_and_continue(k, in_order=False)


@scenario(
    source=WILCOX,
    claims=("Q9",),
    expect={"": "assertion failure", "without signal_notify": "holds"},
)
def gup_asks_as_sleepers_do(k: Kernel) -> None:
    """What ends a wait in GUP is what ends a sleep in the state that goes with it.

    With one exception: while SIGKILL has been queued, and the thread has not been told so but has
    other work to do on its way out, a killable sleeper does not go to sleep, and GUP goes on.
    """
    process = k.mm()

    @k.thread(process=process)
    def gup() -> None:
        interruptible = choose(False, True)
        state = TASK_INTERRUPTIBLE if interruptible else TASK_KILLABLE
        with atomic():
            pending = gup_signal_pending(Foll.INTERRUPTIBLE if interruptible else Foll.NONE)
            ends = signal_pending_state(state, current())
        assert pending == ends, "GUP and a sleeper do not agree"

    @k.thread
    def io_uring() -> None:
        set_notify_signal(k.task("gup"))

    @k.thread
    def killer() -> None:
        k.kill(gup, SIGKILL)
