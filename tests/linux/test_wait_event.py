"""Waiting for conditions: no wake-up is lost in the kernel's order, and any other loses one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.linux.stories import found, told

from refault.linux import Kernel
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_UNINTERRUPTIBLE,
    TaskState,
)
from refault.linux.include.uapi.errno import EINTR, ERESTARTSYS
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.linux.kernel.sched.core import schedule, try_to_wake_up
from refault.linux.kernel.sched.wait import (
    WaitQueueEntry,
    WaitQueueHead,
    add_wait_queue,
    add_wait_queue_exclusive,
    remove_wait_queue,
    wake_up,
    wake_up_all,
    woken_wake_function,
)
from refault.linux.kernel.sched.wait_event import (
    DEFINE_WAIT,
    finish_wait,
    prepare_to_wait,
    wait_event,
    wait_event_interruptible,
    wait_event_interruptible_exclusive,
    wait_event_killable,
    wait_woken,
)


def is_set(flag: bool) -> bool:
    """Tell whether a flag is set."""
    return flag


def nothing() -> None:
    """Handle a signal and do nothing."""


def kitchen(k: Kernel, *, wake_first: bool = False, spurious: bool = False) -> None:
    """One waits for the cake, the other bakes it and rings."""
    queue = WaitQueueHead(k.program, "queue")
    cake = k.program.cell("cake", False)

    @k.thread
    def eater() -> None:
        wait_event(queue, cake, is_set)
        assert cake.read()

    @k.thread
    def baker() -> None:
        if wake_first:
            wake_up(queue)
        cake.write(True)
        if not wake_first:
            wake_up(queue)

    if spurious:

        @k.thread
        def somebody() -> None:
            try_to_wake_up(k.task("eater"), TASK_UNINTERRUPTIBLE)


def test_a_condition_that_comes_before_the_wake_up_is_never_missed() -> None:
    assert found(kitchen) == "holds"
    assert found(lambda k: kitchen(k, spurious=True)) == "holds"


def test_a_wake_up_that_comes_before_the_condition_is_lost() -> None:
    text = told(lambda k: kitchen(k, wake_first=True))
    assert text.startswith("lost wakeup\neater will sleep for ever")
    assert "eater sleeps on queue, TASK_UNINTERRUPTIBLE, though cake has changed" in text


def hungry(k: Kernel, wait: Callable[..., int], signal: object) -> None:
    """Nobody bakes, and a signal comes."""
    process = k.mm()
    queue = WaitQueueHead(k.program, "queue")
    cake = k.program.cell("cake", False)

    @k.thread(process=process, handlers={SIGUSR1: nothing})
    def eater() -> None:
        ret = k.syscall(lambda: wait(queue, cake, is_set))
        assert ret == -EINTR

    @k.thread
    def sender() -> None:
        k.task("eater").state.wait(asleep)
        k.kill(eater, SIGKILL if signal == "SIGKILL" else SIGUSR1)


def asleep(state: TaskState) -> bool:
    """Tell whether a task sleeps, or is about to."""
    return bool(state)


@pytest.mark.parametrize(
    ("wait", "signal", "outcome"),
    [
        (wait_event_interruptible, "SIGUSR1", "holds"),
        (wait_event_interruptible_exclusive, "SIGUSR1", "holds"),
        (wait_event_killable, "SIGUSR1", "deadlock"),
        (wait_event_killable, "SIGKILL", "holds"),
        (wait_event, "SIGKILL", "deadlock"),
    ],
)
def test_a_signal_ends_a_wait_by_its_kind(
    wait: Callable[..., int], signal: str, outcome: str
) -> None:
    assert found(lambda k: hungry(k, wait, signal)) == outcome


def test_an_interrupted_exclusive_waiter_does_not_take_a_wake_up_along() -> None:
    """There is one piece of cake, passed on with a ring; a signal comes to one who waits."""

    def story(k: Kernel) -> None:
        process = k.mm()
        queue = WaitQueueHead(k.program, "queue")
        pieces = k.program.cell("pieces", 0)

        def eat() -> int:
            err = wait_event_interruptible_exclusive(queue, pieces, is_some)
            if not err:
                pieces.update(take)
                pieces.update(put)
                wake_up(queue)
            return err

        @k.thread(process=process, handlers={SIGUSR1: nothing})
        def first() -> None:
            k.syscall(eat)

        @k.thread
        def second() -> None:
            while eat() == -ERESTARTSYS:
                pass

        @k.thread
        def baker() -> None:
            pieces.update(put)
            wake_up(queue)

        @k.thread
        def sender() -> None:
            k.kill(first, SIGUSR1)

    assert found(story) == "holds"


def is_some(pieces: int) -> bool:
    """Tell whether there is something left."""
    return pieces > 0


def take(pieces: int) -> tuple[int, None]:
    """Take a piece; somebody else may have been quicker."""
    return max(pieces - 1, 0), None


def put(pieces: int) -> tuple[int, None]:
    """Put a piece."""
    return pieces + 1, None


@pytest.mark.parametrize(("ring", "verdict"), [(wake_up, "deadlock"), (wake_up_all, "holds")])
def test_one_ring_is_for_one_exclusive_waiter(
    ring: Callable[[WaitQueueHead], None], verdict: str
) -> None:
    def story(k: Kernel) -> None:
        queue = WaitQueueHead(k.program, "queue")
        queued = k.program.cell("queued", 0)

        def wait() -> None:
            entry = DEFINE_WAIT(exclusive=True)
            prepare_to_wait(queue, entry, TASK_UNINTERRUPTIBLE)
            queued.update(put)
            schedule()
            finish_wait(queue, entry)

        k.thread(name="ann")(wait)
        k.thread(name="bob")(wait)

        @k.thread
        def ringer() -> None:
            queued.wait(is_two)
            ring(queue)

    assert found(story) == verdict


def is_two(count: int) -> bool:
    """Tell whether a count has come to two."""
    return count == 2


def test_an_exclusive_waiter_queues_behind_the_others() -> None:
    def story(k: Kernel) -> None:
        queue = WaitQueueHead(k.program, "queue")

        @k.thread
        def ann() -> None:
            first = WaitQueueEntry("ann", woken_wake_function)
            add_wait_queue_exclusive(queue, first)
            assert queue.head.read()[-1].exclusive
            remove_wait_queue(queue, first._replace(exclusive=True))

    assert found(story) == "holds"


def test_a_wake_up_is_remembered_for_who_has_not_slept_yet() -> None:
    """With wait_woken() the state need not be set before the condition is tested."""

    def story(k: Kernel) -> None:
        queue = WaitQueueHead(k.program, "queue")
        cake = k.program.cell("cake", False)

        @k.thread
        def eater() -> None:
            entry = WaitQueueEntry("eater", woken_wake_function)
            add_wait_queue(queue, entry)
            if not cake.read():
                wait_woken(TASK_INTERRUPTIBLE)
            assert cake.read()
            remove_wait_queue(queue, entry)

        @k.thread
        def baker() -> None:
            cake.write(True)
            wake_up(queue)

    assert found(story) == "holds"
