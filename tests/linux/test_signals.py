"""Signals: who is told, what it ends, and what runs then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.linux.stories import found, told

from refault.explore import Cell, UserError, restart, scope
from refault.linux import Kernel
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_RUNNING,
    TASK_STOPPED,
    TASK_UNINTERRUPTIBLE,
    TASK_WAKEKILL,
    TaskState,
    Tif,
)
from refault.linux.include.linux.sched.signal import (
    ThreadSignals,
    interrupts,
    killed,
    signal_pending,
)
from refault.linux.include.uapi.errno import EINTR, ERESTARTSYS
from refault.linux.include.uapi.signal import (
    SA_RESTART,
    SIG_IGN,
    SIGCHLD,
    SIGCONT,
    SIGINT,
    SIGKILL,
    SIGSEGV,
    SIGSTOP,
    SIGTERM,
    SIGUSR1,
    Sa,
    Sigaction,
    Signal,
)
from refault.linux.kernel.sched import core
from refault.linux.kernel.sched.core import __set_current_state, schedule, set_current_state
from refault.linux.kernel.signal import force_sig, set_current_blocked
from refault.linux.modelled import current

STATES = (TASK_RUNNING, TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, TASK_KILLABLE, TASK_STOPPED)


def sleep(state: TaskState) -> int:
    """Sleep once in a state; -ERESTARTSYS if a signal is pending then."""
    set_current_state(state)
    schedule()
    __set_current_state(TASK_RUNNING)
    return -ERESTARTSYS if signal_pending(current()) else 0


def nothing() -> None:
    """Handle a signal and do nothing."""


@given(st.sampled_from(STATES), st.integers(0, 0x1FF).map(TaskState))
def test_a_wake_up_succeeds_iff_its_mask_meets_the_state(state: TaskState, mask: TaskState) -> None:
    after, woken = core._wake(state, mask)
    assert woken == bool(int(state) & int(mask))
    assert after == (TASK_RUNNING if woken else state)


@given(st.sampled_from(STATES), st.builds(Tif, st.integers(0, 3)), st.booleans())
def test_a_signal_ends_a_sleep_by_its_state(state: TaskState, tif: Tif, sigkill: bool) -> None:
    signals = ThreadSignals(tif, (SIGKILL,) if sigkill else ())
    if not tif:
        assert not interrupts(signals, state)
    elif state & TASK_INTERRUPTIBLE:
        assert interrupts(signals, state)
    else:
        assert interrupts(signals, state) == (sigkill and bool(state & TASK_WAKEKILL))


@given(st.builds(Tif, st.integers(0, 3)), st.booleans(), st.booleans())
def test_gup_and_sleepers_differ_in_one_point_only(
    tif: Tif, sigkill: bool, interruptible: bool
) -> None:
    signals = ThreadSignals(tif, (SIGKILL,) if sigkill else ())
    state = TASK_INTERRUPTIBLE if interruptible else TASK_KILLABLE
    gup = killed(signals) or (interruptible and bool(tif))
    exception = tif == Tif.NOTIFY_SIGNAL and sigkill and not interruptible
    assert (gup != interrupts(signals, state)) == exception


def sent(sig: Signal, state: TaskState, action: Any = None, *, blocked: bool = False) -> str:
    """What becomes of a sleeper that is sent a signal while it is asleep, in a word."""

    def story(k: Kernel) -> None:
        process = k.mm()
        handlers = {} if action is None else {sig: action}

        @k.thread(process=process, handlers=handlers, blocked=(sig,) if blocked else ())
        def sleeper() -> None:
            k.syscall(lambda: sleep(state))

        @k.thread
        def sender() -> None:
            k.task("sleeper").state.wait(is_, state)
            k.kill(process, sig)

    return found(story)


def is_(now: TaskState, wanted: TaskState) -> bool:
    """Tell whether a task is in a state."""
    return now == wanted


WOKEN, SLEEPS = "holds", "deadlock"


@pytest.mark.parametrize(
    ("sig", "state", "action", "outcome"),
    [
        (SIGUSR1, TASK_INTERRUPTIBLE, nothing, WOKEN),
        (SIGUSR1, TASK_KILLABLE, nothing, SLEEPS),
        (SIGUSR1, TASK_UNINTERRUPTIBLE, nothing, SLEEPS),
        (SIGUSR1, TASK_INTERRUPTIBLE, SIG_IGN, SLEEPS),
        (SIGCHLD, TASK_INTERRUPTIBLE, None, SLEEPS),
        (SIGTERM, TASK_KILLABLE, None, WOKEN),
        (SIGTERM, TASK_UNINTERRUPTIBLE, None, SLEEPS),
        (SIGKILL, TASK_KILLABLE, None, WOKEN),
        (SIGSEGV, TASK_INTERRUPTIBLE, None, WOKEN),
        (SIGSEGV, TASK_KILLABLE, None, SLEEPS),
        (SIGSTOP, TASK_INTERRUPTIBLE, None, SLEEPS),
    ],
)
def test_which_signals_end_which_sleeps(
    sig: Signal, state: TaskState, action: Any, outcome: str
) -> None:
    assert sent(sig, state, action) == outcome


def test_a_blocked_signal_ends_no_sleep_but_sigkill_cannot_be_blocked() -> None:
    assert sent(SIGUSR1, TASK_INTERRUPTIBLE, nothing, blocked=True) == SLEEPS
    assert sent(SIGTERM, TASK_KILLABLE, blocked=True) == SLEEPS
    assert sent(SIGKILL, TASK_KILLABLE, blocked=True) == WOKEN


def test_a_signal_to_the_process_goes_to_a_thread_that_does_not_block_it() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()

        def handler() -> None:
            assert current().name == "second"

        for name, blocked in (("first", (SIGUSR1,)), ("second", ())):
            k.thread(name=name, process=process, handlers={SIGUSR1: handler}, blocked=blocked)(
                lambda: k.syscall(lambda: 0)
            )

        @k.thread
        def sender() -> None:
            k.kill(process, SIGUSR1)

    assert found(story) == "holds"


def test_a_thread_that_exits_leaves_the_signals_of_the_process_to_others() -> None:
    """The first thread may have been told of the signal, and then never got round to it."""

    def story(k: Kernel) -> None:
        process = k.mm()
        handled, sent = k.program.cell("handled", 0), k.program.cell("sent", False)
        k.thread(
            name="short", process=process, handlers={SIGUSR1: lambda: handled.update(plus_one)}
        )(nothing)

        @k.thread(process=process, blocked=(SIGUSR1,))
        def long() -> None:
            sent.wait(is_set)
            k.processes[0].exited.wait(has_exited, "short")
            k.syscall(lambda: set_current_blocked(()))
            assert handled.read() == 1

        @k.thread
        def sender() -> None:
            k.kill(process, SIGUSR1)
            sent.write(True)

    assert found(story) == "holds"


def is_set(flag: bool) -> bool:
    """Tell whether a flag is set."""
    return flag


def has_exited(exited: tuple[str, ...], name: str) -> bool:
    """Tell whether a thread is gone."""
    return name in exited


def test_sigkill_ends_all_threads_of_the_process_and_nothing_of_them_goes_on() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        cleaned = k.program.cell("cleaned", False)
        k.program.invariant("nobody cleans up", lambda view: not view[cleaned])

        def work() -> None:
            try:
                k.syscall(lambda: sleep(TASK_KILLABLE))
            finally:
                cleaned.write(True)

        k.thread(name="ann", process=process)(work)
        k.thread(name="bob", process=process)(work)

        @k.thread
        def killer() -> None:
            k.kill("bob", SIGKILL)

    assert found(story) == "holds"


def test_exit_group_takes_the_others_along() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        k.thread(name="sleeper", process=process)(
            lambda: k.syscall(lambda: sleep(TASK_INTERRUPTIBLE))
        )
        k.thread(name="main", process=process)(k.exit_group)

    assert found(story) == "holds"


def test_a_handler_runs_with_its_signal_blocked() -> None:
    def story(k: Kernel, flags: Sa) -> None:
        process = k.mm()
        depth = k.program.cell("depth", 0)
        deepest = k.program.cell("deepest", 0)

        def handler() -> None:
            now = depth.update(lambda n: (n + 1, n + 1))
            deepest.update(lambda n, new: (max(n, new), None), now)
            k.syscall(lambda: 0)
            depth.update(lambda n: (n - 1, None))

        @k.thread(process=process, handlers={SIGUSR1: Sigaction(handler, flags)})
        def program() -> None:
            k.syscall(lambda: 0)
            assert deepest.read() < 2, "a handler in a handler"

        for name in ("ann", "bob"):
            k.thread(name=name)(lambda: k.kill(program, SIGUSR1))

    assert found(lambda k: story(k, Sa.NONE)) == "holds"
    assert found(lambda k: story(k, Sa.NODEFER)) == "assertion failure"


def test_frames_are_made_for_all_signals_and_the_last_one_runs_first() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        order: Cell[tuple[Signal, ...]] = k.program.cell("order", ())

        def handler(sig: Signal) -> Callable[[], None]:
            return lambda: order.update(lambda so_far: ((*so_far, sig), None))

        @k.thread(
            process=process,
            handlers={SIGUSR1: handler(SIGUSR1), SIGINT: handler(SIGINT)},
        )
        def program() -> None:
            k.syscall(both)
            assert order.read() == (SIGUSR1, SIGINT)

        def both() -> None:
            k.kill(program, SIGINT)
            k.kill(program, SIGUSR1)

    assert found(story) == "holds"


def test_signals_of_one_kind_collapse() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        count = k.program.cell("count", 0)

        @k.thread(process=process, handlers={SIGUSR1: lambda: count.update(plus_one)})
        def program() -> None:
            k.syscall(twice)
            assert count.read() == 1

        def twice() -> None:
            k.kill(program, SIGUSR1)
            k.kill(program, SIGUSR1)

    assert found(story) == "holds"


def plus_one(count: int) -> tuple[int, None]:
    """Count."""
    return count + 1, None


def test_a_restarted_call_is_made_again_and_an_interrupted_one_is_not() -> None:
    def story(k: Kernel, *, restart: bool) -> None:
        process = k.mm()
        handler = SA_RESTART(nothing) if restart else nothing
        calls = k.program.cell("calls", 0)

        @k.thread(process=process, handlers={SIGUSR1: handler})
        def program() -> None:
            ret = k.syscall(call)
            assert ret == (0 if restart else -EINTR)

        def call() -> int:
            calls.update(plus_one)
            return sleep(TASK_INTERRUPTIBLE) if calls.read() == 1 else 0

        @k.thread
        def sender() -> None:
            k.task("program").state.wait(is_, TASK_INTERRUPTIBLE)
            k.kill(program, SIGUSR1)

    assert found(lambda k: story(k, restart=True)) == "holds"
    assert found(lambda k: story(k, restart=False)) == "holds"


def test_a_stopped_task_goes_on_with_sigcont_and_dies_of_sigkill() -> None:
    def story(k: Kernel, then: Signal) -> None:
        process = k.mm()
        for name in ("ann", "bob"):
            k.thread(name=name, process=process)(lambda: k.syscall(lambda: 0))

        @k.thread
        def shell() -> None:
            k.kill(process, SIGSTOP)
            k.kill(process, then)

    assert found(lambda k: story(k, SIGCONT)) == "holds"
    assert found(lambda k: story(k, SIGKILL)) == "holds"
    assert "is stopped, and nobody sends it SIGCONT" in told(lambda k: story(k, SIGUSR2_IGNORED))


SIGUSR2_IGNORED = Signal.SIGURG
"""A signal that does nothing by default."""


def test_an_instruction_runs_again_after_the_handler() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap()
        ran = k.program.cell("ran", False)

        @k.thread(process=process, handlers={SIGUSR1: lambda: ran.write(True)})
        def program() -> None:
            page.store(1)
            assert page.load() == 1

        @k.thread
        def sender() -> None:
            k.kill(program, SIGUSR1)

    assert found(story) == "holds"


def test_a_signal_of_ones_own_fault_cannot_be_ignored() -> None:
    def story(k: Kernel, action: Any, *, blocked: bool) -> None:
        process = k.mm()
        dead = k.program.cell("dead", True)

        @k.thread(
            process=process,
            handlers={SIGSEGV: action},
            blocked=(SIGSEGV,) if blocked else (),
        )
        def program() -> None:
            k.syscall(lambda: force_sig(SIGSEGV))
            dead.write(False)

        k.program.invariant("dead", lambda view: view[dead])

    assert found(lambda k: story(k, nothing, blocked=False)) == "invariant violation"
    assert found(lambda k: story(k, nothing, blocked=True)) == "holds"
    assert found(lambda k: story(k, SIG_IGN, blocked=False)) == "holds"


def test_a_task_that_was_killed_and_does_not_die_is_named() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()

        @k.thread(process=process)
        def sleeper() -> None:
            k.syscall(lambda: sleep(TASK_UNINTERRUPTIBLE))

        @k.thread
        def killer() -> None:
            k.kill(sleeper, SIGKILL)

    text = told(story)
    assert "sleeper has been killed and cannot die: it sleeps in TASK_UNINTERRUPTIBLE" in text


def test_a_task_that_was_killed_and_runs_for_ever_is_named() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        never = k.program.cell("never", False)

        @scope
        def spin() -> None:
            while not never.read():
                restart()

        @k.thread(process=process)
        def spinner() -> None:
            k.syscall(spin)

        @k.thread
        def killer() -> None:
            k.kill(spinner, SIGKILL)
            never.write(never.read())

    text = told(story)
    assert text.startswith("livelock")
    assert "spinner has been killed and cannot die: it does not get back to user mode" in text


def kills_an_empty_process(k: Kernel) -> None:
    """Send a signal to a process that has no threads."""
    process = k.mm()
    k.thread(name="a")(lambda: k.kill(process, SIGINT))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (lambda k: k.thread(name="a", handlers={SIGINT: nothing})(nothing), "but no process"),
        (
            lambda k: k.thread(name="a", process=k.mm(), handlers={SIGKILL: nothing})(nothing),
            "SIGKILL cannot be caught",
        ),
        (lambda k: k.thread(name="a")(lambda: k.kill("b", SIGINT)), "no thread of the story"),
        (lambda k: k.thread(name="a")(lambda: k.kill("a", SIGINT)), "belongs to no process"),
        (kills_an_empty_process, "has no threads"),
    ],
)
def test_what_cannot_have_been_meant_is_refused(
    start: Callable[[Kernel], object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        found(start)
