"""Mutants with known endings: what a check depends on, and what it does not."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from refault.explore import (
    BLOCKED,
    Blocked,
    Cell,
    Mode,
    Program,
    Violation,
    atomic,
    check,
    current_task,
    restart,
    traced,
)
from refault.explore.mutate import Judged, Mutants
from refault.explore.mutate.forked import Lost, forked
from refault.explore.mutate.mutation import Hook
from refault.scenarios import find

Build = Callable[[Program], object]
Owner = str | None


def holder(owner: Owner) -> dict[str, Mode]:
    return {owner: "x"} if owner else {}


def _acquire(owner: Owner, task: str) -> tuple[Owner, None] | Blocked:
    return BLOCKED if owner else (task, None)


def _release(owner: Owner, task: str) -> tuple[Owner, None]:
    if owner != task:
        raise Violation("lock imbalance", f"{task} unlocks what {owner} holds")
    return None, None


def _try(owner: Owner, task: str) -> tuple[Owner, bool]:
    return (owner, False) if owner else (task, True)


@traced
def lock(cell: Cell[Owner]) -> None:
    cell.update(_acquire, current_task())


@traced
def unlock(cell: Cell[Owner]) -> None:
    cell.update(_release, current_task())


def judged(build: Build, **options: Any) -> dict[str, Judged]:
    mutants = Mutants(build, **options)
    assert mutants.explored
    return {one.mutation.name: one for one in mutants.judged()}


def statuses(build: Build, kind: str = "") -> dict[str, str]:
    found = judged(build)
    return {n: one.status for n, one in found.items() if kind in ("", one.mutation.kind)}


def only(found: dict[str, Judged], *words: str) -> Judged:
    (one,) = [one for name, one in found.items() if all(word in name for word in words)]
    return one


@traced
def increment(mutex: Cell[Owner], n: Cell[int]) -> None:
    lock(mutex)
    n.write(n.read() + 1)
    unlock(mutex)


def counter(p: Program, *, asserts: bool = True) -> None:
    mutex: Cell[Owner] = p.cell("mutex", None, holders=holder)
    n, left = p.cell("n", 0), p.cell("left", 2)

    def body() -> None:
        increment(mutex, n)
        if not left.update(lambda old: (old - 1, old - 1)) and asserts:
            assert n.read() == 2

    for name in ("one", "two"):
        p.task(name, body)


def test_dropping_the_lock_of_a_counter_is_killed_by_the_assertion() -> None:
    one = only(judged(counter), "lock(mutex)")
    assert one.mutation.name == "increment > lock(mutex) not taken"
    assert (one.status, one.verdict) == ("killed", "assertion failure")
    assert one.mutation.kind == "lock"
    file, line = one.mutation.place.rsplit(":", 1)
    assert file.endswith("test_mutate.py")
    assert int(line) == increment.__wrapped__.__code__.co_firstlineno + 2  # type: ignore[attr-defined]


def test_an_assertion_that_checks_nothing_lets_everything_survive() -> None:
    found = statuses(lambda p: counter(p, asserts=False))
    assert len(found) > 2
    assert set(found.values()) == {"survived"}


def queue(p: Program) -> None:
    """The protocol of a wait queue: set the state, test the condition, sleep; and its waker."""
    ready, state = p.cell("ready", False), p.cell("state", "running")

    def sleeper() -> None:
        state.write("asleep")
        if not ready.read():
            state.wait(lambda s: s == "running")

    def waker() -> None:
        ready.write(True)
        state.update(lambda s: ("running", True) if s == "asleep" else (s, False))

    p.task("sleeper", sleeper)
    p.task("waker", waker)


def test_a_wait_queue_needs_the_test_the_wake_and_the_order_of_both_sides() -> None:
    found = judged(queue)
    killed = {name: one.verdict for name, one in found.items() if one.status == "killed"}
    assert killed == {
        "sleeper > read(ready) as it was known before": "deadlock",
        "sleeper > write(state) only after read(ready)": "deadlock",
        "waker > write(ready) without effect": "deadlock",
        "waker > write(ready) only after <lambda>(state)": "deadlock",
        "waker > <lambda>(state) without effect": "deadlock",
    }


def test_sleeping_itself_is_of_no_consequence_there() -> None:
    found = {name: one for name, one in judged(queue).items() if one.status == "survived"}
    assert sorted(found) == [
        "sleeper > wait(state) not waited for",
        "sleeper > write(state) without effect",
    ]
    points = {one.mutation.point for one in found.values()}
    assert "the wait in wait(state) in sleeper" in points


def superfluous(p: Program) -> None:
    mutex: Cell[Owner] = p.cell("mutex", None, holders=holder)
    n = p.cell("n", 0)

    def body() -> None:
        lock(mutex)
        seen = n.update(lambda old: (old + 1, old))
        unlock(mutex)
        assert seen < 2

    for name in ("one", "two"):
        p.task(name, body)


def test_a_superfluous_lock_survives() -> None:
    assert statuses(superfluous, "lock") == {"body > lock(mutex) not taken": "survived"}


@traced
def lock_outer(mutex: Cell[Owner]) -> None:
    lock(mutex)


@traced
def leave(mutex: Cell[Owner], n: Cell[int], value: int) -> None:
    n.write(value)
    unlock(mutex)


@traced
def handed_down(mutex: Cell[Owner], n: Cell[int]) -> None:
    lock_outer(mutex)
    leave(mutex, n, n.read() + 1)


@traced
def tried(mutex: Cell[Owner], n: Cell[int]) -> None:
    while not mutex.update(_try, current_task()):
        mutex.wait(lambda owner: owner is None)
    n.write(n.read() + 1)
    mutex.update(_release, current_task())


def two_ways(p: Program) -> None:
    mutex: Cell[Owner] = p.cell("mutex", None, holders=holder)
    n, left = p.cell("n", 0), p.cell("left", 2)

    def body(fn: Callable[[Cell[Owner], Cell[int]], None]) -> None:
        fn(mutex, n)
        if not left.update(lambda old: (old - 1, old - 1)):
            assert n.read() == 2

    p.task("one", body, handed_down)
    p.task("two", body, tried)


def test_a_lock_belongs_to_the_function_in_which_it_is_both_taken_and_given_back() -> None:
    found = judged(two_ways)
    locks = {name for name, one in found.items() if one.mutation.kind == "lock"}
    assert locks == {"handed_down > lock_outer(mutex) not taken", "tried > try(mutex) not taken"}
    assert {found[name].verdict for name in locks} == {"assertion failure"}
    assert not [one for one in found.values() if one.mutation.kind == "wait"]


def test_other_functions_still_take_a_lock_that_is_dropped_in_one() -> None:
    """With one of the two left, only the assertion fails: no imbalance, no deadlock."""

    def three(p: Program) -> None:
        two_ways(p)
        mutex = next(c for c in p.cells if c.name == "mutex")
        p.task("three", lambda: (lock(mutex), unlock(mutex)))

    found = judged(three)
    assert only(found, "lock_outer(mutex)").verdict == "assertion failure"
    assert only(found, "lock(mutex) not").status == "survived"


class Turns(NamedTuple):
    """A lock that is passed on to the first who waits."""

    owner: Owner = None
    queue: tuple[str, ...] = ()


def _queue(lock: Turns, task: str) -> tuple[Turns, bool]:
    if lock.owner:
        return lock._replace(queue=(*lock.queue, task)), False
    return Turns(task), True


def _pass_on(lock: Turns, task: str) -> tuple[Turns, None]:
    if lock.owner != task:
        raise Violation("lock imbalance", f"{task} unlocks what {lock.owner} holds")
    return Turns(lock.queue[0] if lock.queue else None, lock.queue[1:]), None


@traced
def down(sem: Cell[Turns]) -> None:
    if not sem.update(_queue, current_task()):
        sem.wait(lambda lock, task: lock.owner == task, current_task())


@traced
def up(sem: Cell[Turns]) -> None:
    sem.update(_pass_on, current_task())


def test_queueing_for_a_lock_and_waiting_for_it_are_one_acquisition() -> None:
    def build(p: Program) -> None:
        sem = p.cell("sem", Turns(), holders=lambda lock: holder(lock.owner))
        n, left = p.cell("n", 0), p.cell("left", 3)

        def body() -> None:
            down(sem)
            n.write(n.read() + 1)
            up(sem)
            if not left.update(lambda old: (old - 1, old - 1)):
                assert n.read() == 3

        for name in ("one", "two", "three"):
            p.task(name, body)

    about = {name: one for name, one in judged(build).items() if "sem" in name}
    assert list(about) == ["body > down(sem) not taken"]
    assert only(about, "down(sem)").verdict == "assertion failure"


def test_locks_that_are_plain_writes_are_dropped_and_left_as_they_were_taken() -> None:
    def build(p: Program) -> None:
        mutex: Cell[Owner] = p.cell("mutex", None, holders=holder)
        n, left = p.cell("n", 0), p.cell("left", 2)

        def body() -> None:
            with atomic():
                mutex.wait(lambda owner: owner is None)
                mutex.write(current_task())
            n.write(n.read() + 1)
            mutex.write(None)
            if not left.update(lambda old: (old - 1, old - 1)):
                assert n.read() == 2

        p.task("one", body)
        p.task("two", body)

    assert only(judged(build), "mutex", "not taken").verdict == "assertion failure"


def test_an_atomic_block_is_split() -> None:
    def build(p: Program) -> None:
        n, left = p.cell("n", 0), p.cell("left", 2)

        def body() -> None:
            with atomic():
                n.write(n.read() + 1)
            if not left.update(lambda old: (old - 1, old - 1)):
                assert n.read() == 2

        p.task("one", body)
        p.task("two", body)

    one = only(judged(build), "in several steps")
    assert one.mutation.name == "body > atomic(n) in several steps"
    assert (one.status, one.verdict) == ("killed", "assertion failure")


def test_a_wait_is_not_waited_for() -> None:
    def build(p: Program) -> None:
        ready = p.cell("ready", False)

        def waits() -> None:
            assert ready.wait(bool)

        p.task("waits", waits)
        p.task("sets", ready.write, True)

    assert only(judged(build), "wait(ready)").verdict == "assertion failure"
    assert only(judged(build), "write(ready)").verdict == "deadlock"


def test_a_peek_has_always_one_answer_or_the_other() -> None:
    def build(p: Program) -> None:
        ready, data = p.cell("ready", False), p.cell("data", 0)

        def looks() -> None:
            if ready.peek(bool):
                assert data.read() == 1

        def sets() -> None:
            data.write(1)
            ready.write(True)

        p.task("looks", looks)
        p.task("sets", sets)

    found = judged(build)
    assert only(found, "peek(ready) always True").verdict == "assertion failure"
    assert only(found, "peek(ready) always False").status == "survived"
    assert only(found, "write(data) only after write(ready)").verdict == "assertion failure"


def test_a_second_look_that_never_sees_anything_new_says_so() -> None:
    def build(p: Program) -> None:
        mutex: Cell[Owner] = p.cell("mutex", None, holders=holder)
        n = p.cell("n", 0)

        def careful() -> None:
            lock(mutex)
            seen = n.read()
            assert n.read() == seen
            unlock(mutex)

        def changes() -> None:
            lock(mutex)
            n.write(1)
            unlock(mutex)

        p.task("careful", careful)
        p.task("changes", changes)

    found = Mutants(build).judged()
    first, second = (one for one in found if "read(n)" in one.mutation.name)
    assert (first.status, first.reason) == ("killed", "")
    assert (second.status, second.reason) == ("survived", "it never sees anything new")


def test_a_write_is_not_moved_into_the_next_round_of_its_loop() -> None:
    def build(p: Program) -> None:
        x, y = p.cell("x", 0), p.cell("y", 0)

        def server() -> None:
            while True:
                restart()
                y.read()
                x.write(1)

        def client() -> None:
            y.write(1)
            x.read()

        p.task("server", server, daemon=True)
        p.task("client", client)

    assert [n for n in statuses(build, "ordering") if n.startswith("server")] == []


def test_mutants_of_a_violation_are_killed_by_another_verdict() -> None:
    """The bug needs the sleep; it does not need the wake that comes too early."""

    def build(p: Program) -> None:
        ready, state = p.cell("ready", False), p.cell("state", "running")

        def sleeper() -> None:
            if not ready.read():
                state.write("asleep")
                state.wait(lambda s: s == "running")

        def waker() -> None:
            ready.write(True)
            state.update(lambda s: ("running", True) if s == "asleep" else (s, False))

        p.task("sleeper", sleeper)
        p.task("waker", waker)

    found = judged(build)
    assert only(found, "wait(state)").verdict == "holds"
    assert only(found, "wait(state)").status == "killed"
    assert only(found, "<lambda>(state) without effect").status == "survived"


def test_a_mutant_that_is_no_model_any_more_is_invalid() -> None:
    def build(p: Program) -> None:
        x = p.cell("x", 0)

        def reader() -> None:
            x.wait(bool)
            _ = {1: "one"}[x.read()]

        p.task("reader", reader)
        p.task("writer", x.write, 1)

    one = only(judged(build), "wait(x)")
    assert one.status == "invalid"
    assert "KeyError" in one.reason


def test_a_mutant_without_end_is_undecided() -> None:
    def build(p: Program) -> None:
        x, busy = p.cell("x", 0), p.cell("busy", False)

        def adds() -> None:
            while True:
                restart()
                busy.wait(lambda b: not b)
                x.update(lambda old: (old + 1, None))
                busy.write(True)

        p.task("adds", adds, daemon=True)
        p.task("looks", lambda: (x.read(), busy.read()))

    mutants = Mutants(build, time=1)
    found = {one.mutation.name: one for one in mutants.judged()}
    one = only(found, "wait(busy)")
    assert one.status == "undecided"
    assert "raise --" in one.reason


def test_what_there_is_no_time_for_is_undecided() -> None:
    mutants = Mutants(counter, time=0.5)
    mutants._deadline = time.monotonic() - 1
    assert {one.status for one in mutants.judged()} == {"undecided"}


def test_an_original_that_is_not_explored_has_no_mutants() -> None:
    def endless(p: Program) -> None:
        x = p.cell("x", 0)

        def adds() -> None:
            while True:
                restart()
                x.update(lambda old: (old + 1, None))

        p.task("adds", adds)

    mutants = Mutants(endless, time=0.2)
    assert not mutants.explored
    assert mutants.verdict.kind == "inconclusive"
    assert list(mutants.judged()) == []


def test_it_does_not_matter_how_many_run_at_a_time() -> None:
    one, three = (judged(two_ways, jobs=jobs) for jobs in (1, 3))
    assert list(one) == list(three)
    assert [o[1:] for o in one.values()] == [o[1:] for o in three.values()]


@pytest.mark.parametrize("build", [counter, queue, superfluous, two_ways])
def test_a_hook_that_changes_nothing_changes_nothing(build: Build) -> None:
    mutation = Mutants(build).mutations[0]

    def hooked(p: Program) -> None:
        build(p)
        p.mutation = Hook(p, mutation)

    plain, same = (check(b, engine="states", keep_terminals=True) for b in (build, hooked))
    assert str(plain) == str(same)
    assert plain.evidence.states == same.evidence.states
    assert plain.terminals == same.terminals


def _moody(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while number == 2:
        time.sleep(1)
    return number


def test_a_process_that_dies_or_hangs_costs_no_other_its_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refault.explore.mutate.forked.PATIENCE", 0.2)
    found = list(forked(_moody, 4, jobs=2, seconds=0.3, deadline=math.inf))
    assert found[0] == 0
    assert found[1] == Lost("the explorer died (SIGKILL)", dead=True)
    assert found[2] == Lost("it does not end", dead=False)
    assert found[3] == 3


def test_an_enqueue_after_the_read_loses_the_wakeup() -> None:
    """The order that LKML argued about in 2020, in the function that must keep it."""
    found = judged(find("enqueue-before-read").build())
    order = only(found, "handle_userfault", "__add_wait_queue", "head", "only after ptep_get")
    assert (order.status, order.verdict) == ("killed", "lost wakeup")
    look = only(found, "userfaultfd_must_wait > ptep_get")
    assert (look.status, look.verdict) == ("killed", "lost wakeup")
