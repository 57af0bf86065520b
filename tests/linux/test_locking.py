"""Locks: what they exclude, who comes first, and what happens to those who misuse them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.linux.stories import found, told

from refault.linux import Kernel
from refault.linux.kernel.locking import rwsem
from refault.linux.kernel.locking.rwsem import RwsemState
from refault.linux.kernel.locking.spinlock import SpinLock, spin_lock, spin_unlock
from refault.linux.mm.mmap_lock import (
    lock_vma_under_rcu,
    mmap_read_lock,
    mmap_read_trylock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
    vma_end_read,
    vma_start_write,
)


def waited_for(sem: RwsemState) -> bool:
    """Tell whether somebody waits for the lock."""
    return bool(sem.queue)


def read_locked(sem: RwsemState) -> bool:
    """Tell whether somebody reads."""
    return bool(sem.readers)


def is_set(flag: bool) -> bool:
    """Tell whether a flag is set."""
    return flag


TASKS = ("ann", "bob", "cid", "dot")


def test_a_spinlock_excludes() -> None:
    def story(k: Kernel) -> None:
        lock = SpinLock(k.program, "lock")
        inside = k.program.cell("inside", 0)

        def visit() -> None:
            spin_lock(lock)
            assert inside.read() == 0
            inside.write(1)
            inside.write(0)
            spin_unlock(lock)

        k.thread(name="ann")(visit)
        k.thread(name="bob")(visit)

    assert found(story) == "holds"


def test_releasing_a_spinlock_that_one_does_not_hold_is_found() -> None:
    def story(k: Kernel) -> None:
        lock = SpinLock(k.program, "lock")
        k.thread(name="ann")(lambda: spin_unlock(lock))

    assert found(story) == "lock imbalance"


def test_returning_with_a_lock_held_is_found() -> None:
    def story(k: Kernel) -> None:
        lock = SpinLock(k.program, "lock")
        k.thread(name="ann")(lambda: spin_lock(lock))

    assert "ann has returned and still holds lock.lock" in told(story)


def test_a_queued_writer_blocks_a_new_reader() -> None:
    """The reader that came first waits for the second one, who waits for the writer."""

    def story(k: Kernel) -> None:
        mm = k.mm().mm
        read = k.program.cell("read", False)

        @k.thread
        def first() -> None:
            mmap_read_lock(mm)
            mm.mmap_lock.count.wait(waited_for)
            read.wait(is_set)
            mmap_read_unlock(mm)

        @k.thread
        def writer() -> None:
            mmap_write_lock(mm)
            mmap_write_unlock(mm)

        @k.thread
        def second() -> None:
            mm.mmap_lock.count.wait(waited_for)
            mmap_read_lock(mm)
            read.write(True)
            mmap_read_unlock(mm)

    assert found(story) == "deadlock"


def test_a_queued_writer_makes_a_read_trylock_fail() -> None:
    def story(k: Kernel) -> None:
        mm = k.mm().mm

        @k.thread
        def reader() -> None:
            mmap_read_lock(mm)
            mm.mmap_lock.count.wait(waited_for)
            assert not mmap_read_trylock(mm)
            mmap_read_unlock(mm)

        @k.thread
        def writer() -> None:
            mm.mmap_lock.count.wait(read_locked)
            mmap_write_lock(mm)
            mmap_write_unlock(mm)

    assert found(story) == "holds"


def recursive_reader(k: Kernel, *, with_writer: bool) -> None:
    """A thread takes mmap_lock for reading while it has it already."""
    mm = k.mm().mm

    @k.thread
    def reader() -> None:
        mmap_read_lock(mm)
        mmap_read_lock(mm)
        mmap_read_unlock(mm)
        mmap_read_unlock(mm)

    if with_writer:

        @k.thread
        def writer() -> None:
            mmap_write_lock(mm)
            mmap_write_unlock(mm)


def test_reading_twice_deadlocks_when_a_writer_comes_in_between() -> None:
    diagnosis = told(lambda k: recursive_reader(k, with_writer=True))
    assert diagnosis.startswith("deadlock")
    held = "reader waits for mmap_lock, read-locked by itself, behind the queued writer writer"
    assert f"{held}, a recursive read lock" in diagnosis
    assert "writer waits for mmap_lock, read-locked by reader" in diagnosis


def test_reading_twice_is_harmless_without_writers() -> None:
    assert found(lambda k: recursive_reader(k, with_writer=False)) == "holds"


def test_a_vma_reader_keeps_out_the_writer_of_its_vma_only_by_vma_start_write() -> None:
    def story(k: Kernel, *, start_write: bool) -> None:
        page = k.mm().mmap()
        written = k.program.cell("written", False)

        @k.thread
        def reader() -> None:
            if lock_vma_under_rcu(page.mm, page.address):
                before = written.read()
                assert written.read() == before
                vma_end_read(page.vma)

        @k.thread
        def writer() -> None:
            mmap_write_lock(page.mm)
            if start_write:
                vma_start_write(page.vma)
            written.write(True)
            mmap_write_unlock(page.mm)

    assert found(lambda k: story(k, start_write=True)) == "holds"
    assert found(lambda k: story(k, start_write=False)) == "assertion failure"


def test_a_vma_write_lock_lasts_until_mmap_lock_is_dropped() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap()

        @k.thread
        def writer() -> None:
            mmap_write_lock(page.mm)
            vma_start_write(page.vma)
            assert not lock_vma_under_rcu(page.mm, page.address)
            mmap_write_unlock(page.mm)
            assert lock_vma_under_rcu(page.mm, page.address)
            vma_end_read(page.vma)

    assert found(story) == "holds"


@st.composite
def histories(draw: st.DrawFn) -> list[RwsemState]:
    """Draw the states that a semaphore goes through in the hands of four tasks."""
    sem = RwsemState()
    seen = [sem]
    for task, wants in draw(st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from("rwt")))):
        waiting = [waiter for waiter, _ in sem.queue]
        if task in sem.readers:
            sem, _ = rwsem._up_read(sem, task)
        elif task == sem.writer:
            sem, _ = rwsem._up_write(sem, task)
        elif task not in waiting:
            take = {
                "r": rwsem._down_read,
                "w": rwsem._down_write,
                "t": rwsem._down_read_trylock,
            }[wants]
            sem, _ = take(sem, task)
        seen.append(sem)
    return seen


@given(histories())
def test_a_writer_is_alone_and_nobody_waits_for_a_free_lock(states: list[RwsemState]) -> None:
    for sem in states:
        assert not (sem.writer and sem.readers)
        assert not sem.queue or sem.writer or sem.readers
        inside = [*sem.readers, *([sem.writer] if sem.writer else [])]
        assert len({*inside, *(task for task, _ in sem.queue)}) == len(inside) + len(sem.queue)


@given(histories())
def test_whoever_waits_longest_is_served_first(states: list[RwsemState]) -> None:
    """A writer leaves the queue from its head only; readers leave all together."""
    for before, after in pairwise(states):
        left = [waiter for waiter in before.queue if waiter not in after.queue]
        writers = [waiter for waiter in left if waiter[1] == "w"]
        readers = [waiter for waiter in left if waiter[1] == "r"]
        assert writers in ([], [before.queue[0]] if before.queue else [])
        assert not (writers and readers)
        assert not readers or all(kind == "w" for _, kind in after.queue)
