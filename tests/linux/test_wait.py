"""Wait queues: who is woken, in which order, and who goes on sleeping."""

from __future__ import annotations

import pytest
from tests.linux.stories import found, told

from refault.linux import Kernel
from refault.linux.include.linux.sched import TASK_NORMAL, TASK_UNINTERRUPTIBLE
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import schedule, set_current_state
from refault.linux.kernel.sched.wait import (
    ANY,
    WaitQueueEntry,
    WaitQueueHead,
    __add_wait_queue,
    __wake_up,
    add_wait_queue,
    default_wake_function,
    remove_wait_queue,
    waitqueue_active,
)
from refault.linux.kernel.sched.wait_event import finish_wait


def is_(count: int, wanted: int) -> bool:
    """Tell whether a count has come to a number."""
    return count == wanted


def bus_stop(k: Kernel, passengers: int, *, exclusive: bool, seats: int) -> None:
    """Passengers queue before the bus comes, and it takes on as many as it has seats for."""
    stop = WaitQueueHead(k.program, "stop")
    queued = k.program.cell("queued", 0)

    def passenger(name: str) -> None:
        entry = WaitQueueEntry(name, default_wake_function, exclusive)
        spin_lock(stop.lock)
        __add_wait_queue(stop, entry)
        set_current_state(TASK_UNINTERRUPTIBLE)
        queued.update(lambda n: (n + 1, None))
        spin_unlock(stop.lock)
        schedule()
        finish_wait(stop, entry)

    for number in range(passengers):
        name = f"passenger{number}"
        k.thread(name=name)(lambda name=name: passenger(name))

    @k.thread
    def bus() -> None:
        queued.wait(is_, passengers)
        __wake_up(stop, TASK_NORMAL, seats, ANY)


@pytest.mark.parametrize(
    ("exclusive", "seats", "verdict"),
    [(False, 1, "holds"), (True, 1, "deadlock"), (True, 2, "holds"), (True, 0, "holds")],
)
def test_one_wake_up_is_for_all_but_exclusive_waiters(
    exclusive: bool, seats: int, verdict: str
) -> None:
    assert found(lambda k: bus_stop(k, 2, exclusive=exclusive, seats=seats)) == verdict


def test_looking_at_a_queue_without_its_lock_sees_it_change() -> None:
    def story(k: Kernel) -> None:
        stop = WaitQueueHead(k.program, "stop")

        @k.thread
        def passenger() -> None:
            entry = WaitQueueEntry("passenger", default_wake_function)
            add_wait_queue(stop, entry)
            remove_wait_queue(stop, entry)

        @k.thread
        def driver() -> None:
            assert not waitqueue_active(stop), "somebody waits"

    assert found(story) == "assertion failure"


def test_an_entry_that_outlives_its_task_is_found() -> None:
    def story(k: Kernel) -> None:
        stop = WaitQueueHead(k.program, "stop")

        @k.thread
        def passenger() -> None:
            add_wait_queue(stop, WaitQueueEntry("passenger", default_wake_function))

    assert "passenger has returned, and its entry is still on stop" in told(story)
