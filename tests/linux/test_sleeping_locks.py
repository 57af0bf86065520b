"""Mutexes, rwsems, wound/wait mutexes and read sections: laws, and misuse that is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.linux.stories import found, told

from refault.linux import Kernel
from refault.linux.include.linux.page import Folio
from refault.linux.include.linux.sched import TASK_NORMAL, TASK_UNINTERRUPTIBLE
from refault.linux.kernel.locking import mutex, rwsem
from refault.linux.kernel.locking.lockdep import preempt_disable, preempt_enable
from refault.linux.kernel.locking.mutex import (
    Mutex,
    MutexState,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
)
from refault.linux.kernel.locking.rwsem import (
    Rwsem,
    RwsemState,
    down_read,
    down_write,
    down_write_trylock,
    up_read,
    up_write,
)
from refault.linux.kernel.locking.spinlock import SpinLock, spin_lock, spin_unlock
from refault.linux.kernel.rcu.srcutree import (
    SrcuStruct,
    call_srcu,
    srcu_invoke_callbacks,
    srcu_read_lock,
    srcu_read_unlock,
)
from refault.linux.kernel.rcu.tree import Rcu, rcu_read_lock, rcu_read_unlock, synchronize_rcu
from refault.linux.kernel.sched.core import schedule, schedule_timeout, set_current_state
from refault.linux.kernel.sched.core import try_to_wake_up as wake
from refault.linux.memory import BOOT_CPU
from refault.linux.mm.folio_lock import folio_lock, folio_unlock

TASKS = ("ann", "bob", "cid", "dot")


@st.composite
def rwsem_histories(draw: st.DrawFn) -> list[tuple[RwsemState, RwsemState]]:
    """Draw the steps that a semaphore goes through where waiters may be killed."""
    sem = RwsemState()
    steps = []
    for task, wants in draw(st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from("rwdtk")))):
        before = sem
        waiting = [waiter for waiter, _ in sem.queue]
        if task in waiting:
            if wants == "k":
                sem, _ = rwsem._leave(sem, task)
        elif task in sem.readers:
            sem, _ = rwsem._up_read(sem, task)
        elif task == sem.writer:
            end = rwsem._downgrade_write if wants == "d" else rwsem._up_write
            sem, _ = end(sem, task)
        else:
            take = {"r": rwsem._down_read, "w": rwsem._down_write, "t": rwsem._down_write_trylock}
            sem, _ = take.get(wants, rwsem._down_read_trylock)(sem, task)
        steps.append((before, sem))
    return steps


@given(rwsem_histories())
def test_an_rwsem_excludes_and_lets_nobody_wait_for_nothing(
    steps: list[tuple[RwsemState, RwsemState]],
) -> None:
    for before, sem in steps:
        assert not (sem.writer and sem.readers)
        assert not sem.queue or sem.writer or sem.readers
        assert not (sem.queue and sem.queue[0][1] == "r" and not sem.writer)
        came = set(sem.readers) - set(before.readers)
        queued = {task for task, kind in before.queue if kind == "r"}
        overtaken = bool(before.queue) and before.queue[0] in sem.queue
        assert not (came - queued and overtaken and came != {before.writer})


@st.composite
def mutex_histories(draw: st.DrawFn) -> list[MutexState]:
    """Draw the states that a mutex goes through in the hands of four tasks."""
    lock = MutexState()
    seen = [lock]
    for task, gives_up in draw(st.lists(st.tuples(st.sampled_from(TASKS), st.booleans()))):
        if task == lock.owner and task not in lock.queue:
            lock, _ = mutex._unlock(lock, task)
        elif task in lock.queue:
            if mutex._turn(lock, task):
                lock, _ = mutex._try(lock, task)
            elif gives_up:
                lock, _ = mutex._leave(lock, task)
        else:
            lock, _ = mutex._lock(lock, task)
        seen.append(lock)
    return seen


@given(mutex_histories())
def test_whoever_waits_for_a_free_mutex_has_been_woken(states: list[MutexState]) -> None:
    for lock in states:
        assert len(set(lock.queue)) == len(lock.queue)
        if lock.owner is None and lock.queue:
            assert lock.woken


@given(mutex_histories())
def test_a_mutex_is_stolen_from_a_waiter_once_at_most(states: list[MutexState]) -> None:
    """From when it was too late, the first waiter is handed the mutex by the next unlock."""
    for before, after in pairwise(states):
        if before.handoff and before.owner and after.owner != before.owner:
            assert after.owner == before.queue[0]


def test_a_mutex_excludes() -> None:
    def story(k: Kernel) -> None:
        lock = Mutex(k.program, "lock")
        inside = k.program.cell("inside", 0)

        def visit() -> None:
            mutex_lock(lock)
            assert inside.read() == 0
            inside.write(1)
            inside.write(0)
            mutex_unlock(lock)

        for name in TASKS[:3]:
            k.thread(name=name)(visit)

    assert found(story) == "holds"


def test_a_mutex_of_ones_own_is_named_as_such() -> None:
    def story(k: Kernel) -> None:
        lock = Mutex(k.program, "lock")

        @k.thread
        def ann() -> None:
            mutex_lock(lock)
            mutex_lock(lock)

    assert "ann waits for lock, held by itself" in told(story)


@pytest.mark.parametrize("release", [mutex_unlock, up_read, up_write])
def test_giving_back_what_one_has_not_got_is_found(release: Callable[[Any], None]) -> None:
    def story(k: Kernel) -> None:
        lock: Any = (Mutex if release is mutex_unlock else Rwsem)(k.program, "lock")
        k.thread(name="ann")(lambda: release(lock))

    assert found(story) == "lock imbalance"


def test_a_lock_kept_at_the_end_of_a_system_call_is_found() -> None:
    def story(k: Kernel) -> None:
        sem = Rwsem(k.program, "sem")

        @k.thread
        def ann() -> None:
            k.syscall(lambda: down_read(sem))
            k.syscall(lambda: up_read(sem))

    text = told(story)
    assert text.startswith("lock imbalance\nann returns to user mode and still holds sem")


SLEEPS: dict[str, Callable[[Kernel], Callable[[], Any]]] = {
    "schedule": lambda k: schedule,
    "schedule_timeout": lambda k: schedule_timeout,
    "mutex_lock": lambda k: partial(mutex_lock, Mutex(k.program, "m")),
    "down_read": lambda k: partial(down_read, Rwsem(k.program, "s")),
    "down_write": lambda k: partial(down_write, Rwsem(k.program, "s")),
    "synchronize_rcu": lambda k: partial(synchronize_rcu, Rcu(k.program)),
    "folio_lock": lambda k: partial(folio_lock, k.add_frame(BOOT_CPU, Folio())),
}


@pytest.mark.parametrize("call", SLEEPS)
def test_whatever_may_sleep_is_found_under_a_spinlock(call: str) -> None:
    """Also where it would not have slept this time."""

    def story(k: Kernel) -> None:
        lock = SpinLock(k.program, "lock")
        work = SLEEPS[call](k)

        @k.thread
        def ann() -> None:
            spin_lock(lock)
            work()
            spin_unlock(lock)

    assert found(story) == "sleep in atomic"


def test_an_rcu_reader_and_whoever_disables_preemption_must_not_sleep() -> None:
    def story(k: Kernel, *, rcu: bool) -> None:
        domain = Rcu(k.program)

        @k.thread
        def ann() -> None:
            if rcu:
                rcu_read_lock(domain)
            else:
                preempt_disable("preempt_disable()")
            schedule()

    assert found(lambda k: story(k, rcu=True)) == "sleep in atomic"
    assert found(lambda k: story(k, rcu=False)) == "sleep in atomic"


def test_preemption_can_be_enabled_again() -> None:
    def story(k: Kernel) -> None:
        @k.thread
        def ann() -> None:
            preempt_disable("a")
            preempt_disable("b")
            preempt_enable("a")
            preempt_enable("b")
            schedule()

    assert found(story) == "holds"


def test_trylocks_never_wait() -> None:
    def story(k: Kernel) -> None:
        lock, sem = Mutex(k.program, "lock"), Rwsem(k.program, "sem")

        def visit() -> None:
            if mutex_trylock(lock):
                mutex_unlock(lock)
            if down_write_trylock(sem):
                up_write(sem)

        k.thread(name="ann")(visit)
        k.thread(name="bob")(visit)

    assert found(story) == "holds"


def test_a_timeout_ends_a_sleep_and_tells_so() -> None:
    def story(k: Kernel, *, sure: bool) -> None:
        @k.thread
        def sleeper() -> None:
            set_current_state(TASK_UNINTERRUPTIBLE)
            woken = schedule_timeout()
            assert woken or not sure, "the time was up"

        @k.thread
        def waker() -> None:
            wake(k.task("sleeper"), TASK_NORMAL)

    assert found(lambda k: story(k, sure=False)) == "holds"
    assert found(lambda k: story(k, sure=True)) == "assertion failure"


def test_rcu_waits_for_readers_that_came_before_and_for_no_others() -> None:
    def story(k: Kernel, *, synchronize: bool) -> None:
        rcu = Rcu(k.program)
        linked, freed = k.program.cell("linked", True), k.program.cell("freed", False)

        def read() -> None:
            rcu_read_lock(rcu)
            assert not (linked.read() and freed.read())
            rcu_read_unlock(rcu)

        k.thread(name="ann")(read)
        k.thread(name="bob")(read)

        @k.thread
        def updater() -> None:
            linked.write(False)
            if synchronize:
                synchronize_rcu(rcu)
            freed.write(True)

    assert found(lambda k: story(k, synchronize=True)) == "holds"
    assert found(lambda k: story(k, synchronize=False)) == "assertion failure"


def test_a_callback_of_srcu_runs_after_the_readers() -> None:
    def story(k: Kernel) -> None:
        srcu = SrcuStruct(k.program, "srcu")
        linked, freed = k.program.cell("linked", True), k.program.cell("freed", False)

        @k.thread
        def reader() -> None:
            srcu_read_lock(srcu)
            if linked.read():
                assert not freed.read()
            srcu_read_unlock(srcu)

        @k.thread
        def updater() -> None:
            linked.write(False)
            call_srcu(srcu, freed.write, True)

        k.thread(name="kworker", daemon=True)(lambda: srcu_invoke_callbacks(srcu))

    assert found(story) == "holds"


def test_a_folio_lock_with_its_wait_queue_excludes_and_wakes_in_turn() -> None:
    def story(k: Kernel) -> None:
        k.folio_wait_table()
        pfn = k.add_frame(BOOT_CPU, Folio())
        inside = k.program.cell("inside", 0)

        def visit() -> None:
            folio_lock(pfn)
            assert inside.read() == 0
            inside.write(1)
            inside.write(0)
            folio_unlock(pfn)

        for name in TASKS[:3]:
            k.thread(name=name)(visit)

    assert found(story) == "holds"
