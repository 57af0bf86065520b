"""Why a counterexample goes wrong: stories whose explanation is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from refault.explore import (
    BLOCKED,
    Cell,
    Finding,
    Program,
    Trace,
    Violation,
    atomic,
    check,
    note,
    restart,
    traced,
)
from refault.explore.engines.exploration import Exploration
from refault.explore.replay import replay
from refault.explore.why.explain import explained
from refault.explore.why.shorten import shorten
from refault.explore.why.walk import Walker

Build = Callable[[Program], None]


def why(build: Build, **options: Any) -> Trace:
    """The explained counterexample of a story that has one."""
    trace = check(build, **options).trace
    assert trace is not None
    assert not trace.unexplained
    return trace


def needs(trace: Trace) -> list[str]:
    """The orders that matter, in words."""
    return [
        f"{o.tasks[0]} {o.operations[0]} {o.cell} before {o.tasks[1]} {o.operations[1]}"
        f"{' at last' if o.second == trace.steps else ''}"
        for o in trace.orders
        if o.matters
    ]


def take(owner: str | None, me: str) -> Any:
    return BLOCKED if owner else (me, None)


def give(_owner: str | None) -> tuple[None, None]:
    return None, None


def lock_cell(p: Program, name: str) -> Cell[str | None]:
    return p.cell(name, None, holders=lambda owner: {owner: "x"} if owner else {})


def lost_update(p: Program) -> None:
    """Two tasks read, then write what they have read and one more."""
    x = p.cell("x", 0)

    def increment() -> None:
        x.write(x.read() + 1)

    p.task("a", increment)
    p.task("b", increment)
    p.at_end(lambda v: None if v[x] == 2 else Finding("lost update", f"x is {v[x]}"))


def test_a_lost_update_takes_both_reads_before_the_others_write() -> None:
    trace = why(lost_update)
    assert trace.schedule == (("a", 0), ("b", 0), ("b", 0), ("a", 0))
    assert needs(trace) == ["a read x before b write", "b read x before a write"]
    assert trace.inevitable == 2, "once both have read"


def test_orders_at_context_switches_that_do_not_matter_are_told_too() -> None:
    harmless = [o for o in why(lost_update).orders if not o.matters]
    assert [(o.first, o.second, o.operations) for o in harmless] == [(2, 3, ("write", "write"))]


def abba(p: Program) -> None:
    """Two locks, taken in opposite orders."""
    locks = [lock_cell(p, name) for name in "AB"]

    def both(me: str, first: Cell[str | None], second: Cell[str | None]) -> None:
        first.update(take, me)
        second.update(take, me)
        second.update(give)
        first.update(give)

    p.task("cpu0", both, "cpu0", *locks)
    p.task("cpu1", both, "cpu1", *locks[::-1])


def test_in_a_deadlock_each_first_lock_must_come_before_the_others_second() -> None:
    trace = why(abba)
    assert needs(trace) == [
        "cpu0 take A before cpu1 take at last",
        "cpu1 take B before cpu0 take at last",
    ]
    assert trace.inevitable == 2, "with the second lock"
    assert trace.missed == ()
    assert trace.waiting == ("cpu0", "cpu1")


def wait_queue(p: Program, *, check_first: bool) -> None:
    """A sleeper that looks at the condition before, or after it is on the queue."""
    ready = p.cell("ready", False)
    queue: Cell[tuple[str, ...]] = p.cell("queue", ())
    state = p.cell("state", "running")

    @traced
    def prepare_to_wait() -> None:
        with atomic():
            queue.write(("sleeper",))
            state.write("asleep")

    @traced
    def wake_up() -> None:
        with atomic():
            if queue.read():
                state.write("running")
            else:
                note("nobody to wake")

    def sleeper() -> None:
        if check_first and ready.read():
            return
        prepare_to_wait()
        if check_first or not ready.read():
            state.wait(lambda s: s == "running")

    def waker() -> None:
        ready.write(True)
        wake_up()

    p.task("sleeper", sleeper)
    p.task("waker", waker)
    p.at_end(lambda v: None if v.done("sleeper") else Finding("lost wakeup", "nobody is left"))


def test_a_lost_wakeup_has_the_wake_up_that_came_too_early() -> None:
    trace = why(lambda p: wait_queue(p, check_first=True))
    assert needs(trace) == [
        "sleeper read ready before waker write",
        "waker read queue before sleeper write",
    ]
    assert [(m.sleeper, m.waker, m.call) for m in trace.missed] == [("sleeper", "waker", "wake_up")]
    assert trace.schedule[trace.missed[0].step] == ("waker", 0)
    assert trace.inevitable == trace.missed[0].step + 1


def test_a_wait_queue_used_as_it_should_be_needs_no_explanation() -> None:
    check(lambda p: wait_queue(p, check_first=False)).assert_holds()


def test_a_step_that_made_the_condition_true_too_early_is_a_wake_up_by_any_name() -> None:
    def build(p: Program) -> None:
        go = p.cell("go", False)

        def sleeper() -> None:
            go.write(False)
            go.wait(bool)

        p.task("sleeper", sleeper)
        p.task("setter", go.write, True)

    trace = why(build)
    assert [(m.waker, m.call) for m in trace.missed] == [("setter", "write(go)")]
    assert trace.inevitable == 1, "nobody sets it again"


def test_a_step_that_fails_is_an_operation_whose_order_may_matter() -> None:
    def use(state: str) -> tuple[str, None]:
        if state == "freed":
            raise Violation("use after free")
        return state, None

    def build(p: Program) -> None:
        published, thing = p.cell("published", True), p.cell("thing", "live")

        def user() -> None:
            if published.read():
                thing.update(use)

        def owner() -> None:
            published.write(False)
            thing.write("freed")

        p.task("user", user)
        p.task("owner", owner)

    trace = why(build)
    assert needs(trace) == [
        "user read published before owner write",
        "owner write thing before user use",
    ]
    assert trace.inevitable == 3, "once it is freed"


def test_a_broken_invariant_has_orders_too() -> None:
    def build(p: Program) -> None:
        inside, door = p.cell("inside", 0), p.cell("door", "open")

        def enter() -> None:
            if door.read() == "open":
                door.write("shut")
                inside.update(lambda n: (n + 1, None))

        p.task("a", enter)
        p.task("b", enter)
        p.invariant("one inside", lambda v: v[inside] < 2)

    trace = why(build)
    assert trace.finding.kind == "invariant violation"
    assert needs(trace) == ["a read door before b write", "b read door before a write"]
    assert trace.inevitable == 2


def test_what_a_lock_protects_is_told_instead_of_the_lock() -> None:
    def build(p: Program) -> None:
        lock, x = lock_cell(p, "lock"), p.cell("x", 0)

        def locked(me: str, operation: Callable[[], Any]) -> None:
            lock.update(take, me)
            operation()
            lock.update(give)

        def reader() -> None:
            lock.update(take, "reader")
            seen = x.read()
            lock.update(give)
            assert seen

        p.task("reader", reader)
        p.task("writer", locked, "writer", lambda: x.write(1))

    trace = check(build).trace
    assert trace is not None
    assert needs(trace) == [], "the reader fails before the writer has begun"


def test_sections_of_a_lock_are_ordered_by_the_data_in_them() -> None:
    def build(p: Program) -> None:
        lock, x = lock_cell(p, "lock"), p.cell("x", 0)

        def increment(me: str) -> None:
            lock.update(take, me)
            seen = x.read()
            lock.update(give)
            lock.update(take, me)
            x.write(seen + 1)
            lock.update(give)

        p.task("a", increment, "a")
        p.task("b", increment, "b")
        p.at_end(lambda v: None if v[x] == 2 else Finding("lost update"))

    assert needs(why(build)) == ["a read x before b write", "b read x before a write"]


def test_an_order_that_cannot_be_reversed_says_nothing() -> None:
    def build(p: Program) -> None:
        mail, x = p.cell("mail", 0), p.cell("x", 0)

        def sender() -> None:
            x.write(1)
            mail.write(1)

        def receiver() -> None:
            mail.wait(bool)
            assert not x.read()

        p.task("sender", sender)
        p.task("receiver", receiver)

    trace = why(build)
    assert trace.orders == (), "nothing can be received before it is sent"
    assert trace.inevitable == 0, "every run ends like this"


def test_third_tasks_are_not_dragged_along() -> None:
    """What the bystander sees of the writer must not be blamed on the order of two others."""

    def build(p: Program) -> None:
        x, y, z = p.cell("x", 0), p.cell("y", 0), p.cell("z", 0)

        def writer() -> None:
            y.write(1)
            x.write(1)

        def bystander() -> None:
            if x.read():
                z.write(1)

        def reader() -> None:
            y.read()
            assert not z.read()

        p.task("writer", writer)
        p.task("bystander", bystander)
        p.task("reader", reader)

    trace = why(build)
    assert needs(trace) == [
        "writer write x before bystander read",
        "bystander write z before reader read",
    ]


def polite(p: Program, *, leave: bool) -> None:
    """Each of two gives way to the other, for ever if they keep in step."""
    flags = [p.cell(f"flag{n}", False) for n in range(2)]

    def pass_by(me: int) -> None:
        while True:
            restart()
            flags[me].write(True)
            if not flags[1 - me].read() and leave:
                break
            flags[me].write(False)
        flags[me].write(False)

    p.task("a", pass_by, 0)
    p.task("b", pass_by, 1)


def test_a_livelock_that_can_be_left_is_never_inevitable() -> None:
    trace = why(lambda p: polite(p, leave=True))
    assert trace.cycle >= 0
    assert trace.inevitable == -1
    assert needs(trace) == ["a write flag0 before b read", "b write flag1 before a read"]


def test_a_livelock_may_be_inevitable_from_the_start() -> None:
    assert why(lambda p: polite(p, leave=False)).inevitable == 0


def test_a_livelock_is_inevitable_once_the_way_out_is_shut() -> None:
    def build(p: Program) -> None:
        door = p.cell("open", True)

        def leaving() -> None:
            while not door.read():
                restart()

        p.task("guest", leaving)
        p.task("guard", door.write, False)

    trace = why(build)
    assert trace.inevitable == 1 < trace.cycle
    assert needs(trace) == ["guard write open before guest read"]


def test_what_takes_too_long_is_left_out_and_the_trace_says_so() -> None:
    exploration = Exploration(lost_update)
    trace = replay(lost_update, (("a", 0), ("b", 0), ("b", 0), ("a", 0)))
    cut = explained(exploration, trace, 1e-9)
    assert (cut.orders, cut.inevitable) == ((), -1)
    assert "takes more than" in cut.unexplained
    assert cut.schedule == trace.schedule


def test_explanations_can_be_switched_off() -> None:
    trace = check(lost_update, explain_seconds=0).trace
    assert trace is not None
    assert (trace.orders, trace.inevitable, trace.unexplained) == ((), -1, "")


def test_a_schedule_too_long_to_explain_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refault.explore.why.explain.MAX_STEPS", 3)
    trace = check(lost_update).trace
    assert trace is not None
    assert trace.unexplained == "it has more than 3 steps"


def test_ctrl_c_ends_the_explanation_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("refault.explore.why.explain.Orders", interrupt)
    trace = check(lost_update).trace
    assert trace is not None
    assert trace.unexplained == "interrupted"


def test_a_schedule_that_wanders_is_made_shorter() -> None:
    def build(p: Program) -> None:
        lost_update(p)
        noise = p.cell("noise", 0)

        def busy() -> None:
            for n in range(4):
                noise.write(n)

        p.task("busy", busy)

    exploration = Exploration(build)
    wandering = "2a2b2b2a"
    tasks = {"a": 0, "b": 1, "2": 2}
    path = [(tasks[c], 0) for c in wandering]
    shorter = shorten(Walker(exploration.tables), path, "lost update", time.monotonic() + 10)
    assert sum(a != b for a, b in pairwise(shorter)) == 3
    replay(build, exploration.named(shorter), expect="lost update")


def test_what_is_not_known_to_be_the_shortest_is_made_shorter_before_it_is_explained() -> None:
    trace = replay(lost_update, (("a", 0), ("b", 0), ("a", 0), ("b", 0)))
    assert (trace.switches, trace.minimal) == (3, False)
    better = explained(Exploration(lost_update), trace)
    assert (better.switches, better.minimal, better.finding.kind) == (2, False, "lost update")
    assert better.inevitable == 2
