"""Sleeping and waking: set the state, test the condition, sleep; nothing is lost in that order."""

from __future__ import annotations

import pytest
from tests.linux.stories import found

from refault.linux import Kernel
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NORMAL,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    TaskState,
)
from refault.linux.kernel.sched.core import schedule, set_current_state, try_to_wake_up


def sleeper_and_waker(k: Kernel, *, state_first: bool, condition_first: bool) -> None:
    """One waits for the cake, the other bakes it and rings."""
    cake = k.program.cell("cake", False)

    @k.thread
    def eater() -> None:
        if state_first:
            set_current_state(TASK_UNINTERRUPTIBLE)
        there = cake.read()
        if not state_first:
            set_current_state(TASK_UNINTERRUPTIBLE)
        if not there:
            schedule()
        set_current_state(TASK_RUNNING)

    @k.thread
    def baker() -> None:
        if condition_first:
            cake.write(True)
        try_to_wake_up(k.task("eater"), TASK_NORMAL)
        if not condition_first:
            cake.write(True)


def test_state_before_test_and_condition_before_wake_never_loses() -> None:
    assert found(lambda k: sleeper_and_waker(k, state_first=True, condition_first=True)) == "holds"


@pytest.mark.parametrize(
    ("state_first", "condition_first"), [(False, True), (True, False), (False, False)]
)
def test_any_other_order_can_sleep_for_ever(state_first: bool, condition_first: bool) -> None:
    kind = found(
        lambda k: sleeper_and_waker(k, state_first=state_first, condition_first=condition_first)
    )
    assert kind == "deadlock"


@pytest.mark.parametrize(
    ("state", "mask", "woken"),
    [
        (TASK_RUNNING, TASK_NORMAL, False),
        (TASK_INTERRUPTIBLE, TASK_NORMAL, True),
        (TASK_KILLABLE, TASK_NORMAL, True),
        (TASK_KILLABLE, TASK_INTERRUPTIBLE, False),
        (TASK_UNINTERRUPTIBLE, TASK_INTERRUPTIBLE, False),
    ],
)
def test_a_wake_up_succeeds_where_its_mask_meets_the_state(
    state: TaskState, mask: TaskState, woken: bool
) -> None:
    def story(k: Kernel) -> None:
        @k.thread
        def sleeper() -> None:
            set_current_state(state)
            assert try_to_wake_up(k.task("sleeper"), mask) is woken
            set_current_state(TASK_RUNNING)

    assert found(story) == "holds"


def test_a_task_that_is_awake_again_does_not_sleep_in_schedule() -> None:
    def story(k: Kernel) -> None:
        @k.thread
        def lark() -> None:
            set_current_state(TASK_INTERRUPTIBLE)
            try_to_wake_up(k.task("lark"), TASK_NORMAL)
            schedule()

    assert found(story) == "holds"
