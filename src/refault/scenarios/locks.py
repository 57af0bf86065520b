"""What the kernel's sleeping locks promise, and what they do not."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.linux.sched.signal import signal_pending
from refault.linux.include.uapi.errno import EDEADLK, EINTR
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.linux.kernel.locking.mutex import (
    Mutex,
    mutex_lock,
    mutex_lock_interruptible,
    mutex_lock_killable,
    mutex_unlock,
)
from refault.linux.kernel.locking.rwsem import (
    Rwsem,
    down_read,
    down_read_killable,
    down_write,
    down_write_killable,
    downgrade_write,
    up_read,
    up_write,
)
from refault.linux.kernel.locking.ww_mutex import (
    WwAcquireCtx,
    WwClass,
    WwMutex,
    ww_acquire_fini,
    ww_acquire_init,
    ww_mutex_lock,
    ww_mutex_unlock,
)
from refault.linux.kernel.rcu.srcutree import (
    SrcuStruct,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
)
from refault.linux.modelled import current
from refault.scenarios.api import scenario

MUTEX = "kernel/locking/mutex.c of 6.18: a story of our own"
RWSEM = "kernel/locking/rwsem.c of 6.18: a story of our own"
WW = "Documentation/locking/ww-mutex-design.rst: a story of our own"
SRCU = "kernel/rcu/srcutree.c of 6.18: a story of our own"


def _nothing() -> None:
    """A handler that has nothing to do."""


@scenario(source=MUTEX, expect={"": "holds"})
def free_mutex_ignores_signals(k: Kernel) -> None:
    """mutex_lock_interruptible() takes a free mutex whatever signal is pending."""
    process = k.mm()
    lock = Mutex(k.program, "lock")

    @k.thread(process=process, handlers={SIGUSR1: _nothing})
    def worker() -> None:
        k.syscall(work)

    def work() -> None:
        assert mutex_lock_interruptible(lock) == 0, "interrupted, and nobody held it"
        mutex_unlock(lock)

    @k.thread
    def sender() -> None:
        k.kill(worker, SIGUSR1)


@scenario(source=MUTEX, expect={"": "holds"})
def contended_mutex_is_given_up(k: Kernel) -> None:
    """An interrupted wait for a mutex ends with -EINTR, and the others get it nonetheless."""
    process = k.mm()
    lock = Mutex(k.program, "lock")

    @k.thread(process=process, handlers={SIGUSR1: _nothing})
    def worker() -> None:
        k.syscall(work)

    def work() -> None:
        err = mutex_lock_interruptible(lock)
        if err:
            assert err == -EINTR
            assert signal_pending(current())
        else:
            mutex_unlock(lock)

    def visit() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)

    k.thread(name="holder")(visit)
    k.thread(name="other")(visit)

    @k.thread
    def sender() -> None:
        k.kill(worker, SIGUSR1)


def _abba(k: Kernel, *, killable: bool) -> None:
    process = k.mm()
    a, b = Mutex(k.program, "a"), Mutex(k.program, "b")

    def both(first: Mutex, second: Mutex) -> None:
        mutex_lock(first)
        if not killable:
            mutex_lock(second)
        elif mutex_lock_killable(second):
            mutex_unlock(first)
            return
        mutex_unlock(second)
        mutex_unlock(first)

    k.thread(name="ab", process=process)(lambda: k.syscall(lambda: both(a, b)))
    k.thread(name="ba", process=process)(lambda: k.syscall(lambda: both(b, a)))

    @k.thread
    def killer() -> None:
        k.kill(process, SIGKILL)


@scenario(source=MUTEX, expect={"": "deadlock"})
def abba_cannot_be_killed(k: Kernel) -> None:
    """Two tasks that wait for each other's mutexes can be killed: refuted."""
    _abba(k, killable=False)


@scenario(source=MUTEX, expect={"": "holds"})
def abba_can_be_killed(k: Kernel) -> None:
    """They can if they wait killably: then SIGKILL gets both out of it."""
    _abba(k, killable=True)


def _recursion(k: Kernel, *, killable: bool) -> None:
    process = k.mm()
    sem = Rwsem(k.program, "sem")

    @k.thread(process=process)
    def reader() -> None:
        k.syscall(read_twice)

    def read_twice() -> None:
        down_read(sem)
        if not (down_read_killable(sem) if killable else down_read(sem)):
            up_read(sem)
        up_read(sem)

    @k.thread
    def writer() -> None:
        down_write(sem)
        up_write(sem)

    @k.thread
    def killer() -> None:
        k.kill(reader, SIGKILL)


@scenario(source=RWSEM, expect={"": "deadlock"})
def reading_twice_behind_a_writer(k: Kernel) -> None:
    """A task may take an rwsem for reading that it has for reading already: refuted.

    A writer that queues in between comes first, and waits for the reader.
    """
    _recursion(k, killable=False)


@scenario(source=RWSEM, expect={"": "holds"})
def reading_twice_can_be_killed(k: Kernel) -> None:
    """It is a deadlock that SIGKILL ends, if the second lock is taken killably."""
    _recursion(k, killable=True)


@scenario(source=RWSEM, expect={"": "holds"})
def killed_writer_lets_readers_in(k: Kernel) -> None:
    """A queued writer that is killed lets those pass that queued behind it."""
    process = k.mm()
    sem = Rwsem(k.program, "sem")
    second = k.program.cell("second", False)

    @k.thread
    def first_reader() -> None:
        down_read(sem)
        second.wait(_is_set)
        up_read(sem)

    @k.thread(process=process)
    def writer() -> None:
        k.syscall(write)

    def write() -> None:
        if down_write_killable(sem) == 0:
            up_write(sem)

    @k.thread
    def second_reader() -> None:
        down_read(sem)
        second.write(True)
        up_read(sem)

    @k.thread
    def killer() -> None:
        k.kill(writer, SIGKILL)


def _is_set(flag: bool) -> bool:
    return flag


@scenario(source=RWSEM, expect={"": "holds"})
def downgrade_keeps_writers_out(k: Kernel) -> None:
    """What one wrote one reads: no writer comes in between where the lock is downgraded."""
    sem = Rwsem(k.program, "sem")
    data = k.program.cell("data", "")

    def write(name: str) -> None:
        down_write(sem)
        data.write(name)
        downgrade_write(sem)
        assert data.read() == name, "somebody else wrote"
        up_read(sem)

    for name in ("ann", "bob"):
        k.thread(name=name)(lambda name=name: write(name))


def _ww(k: Kernel, kind: WwClass | None) -> None:
    """Two tasks take the same two locks in opposite order."""
    ctx = WwAcquireCtx(k.program, "ww", kind or WwClass.WAIT_DIE)
    a, b = WwMutex(k.program, "a", ctx), WwMutex(k.program, "b", ctx)
    ticket = ctx if kind else None

    def both(first: WwMutex, second: WwMutex) -> None:
        ww_acquire_init(ctx)
        err = ww_mutex_lock(first, ticket)
        if not err:
            err = ww_mutex_lock(second, ticket, holds=True)
            if err == -EDEADLK:
                ww_mutex_unlock(first)
                ww_mutex_lock(second, ticket)
                err = ww_mutex_lock(first, ticket, holds=True)
                if err == -EDEADLK:
                    ww_mutex_unlock(second)
                    ww_acquire_fini(ctx)
                    return
        ww_mutex_unlock(first)
        ww_mutex_unlock(second)
        ww_acquire_fini(ctx)

    k.thread(name="ab")(lambda: both(a, b))
    k.thread(name="ba")(lambda: both(b, a))


@scenario(source=WW, expect={"": "holds"})
def wait_die_never_deadlocks(k: Kernel) -> None:
    """Reservations taken in any order do not deadlock, for the younger task backs off."""
    _ww(k, WwClass.WAIT_DIE)


@scenario(source=WW, expect={"": "holds"})
def wound_wait_never_deadlocks(k: Kernel) -> None:
    """Nor do they where the older task wounds the younger one."""
    _ww(k, WwClass.WOUND_WAIT)


@scenario(source=WW, expect={"": "deadlock"})
def no_ticket_no_backing_off(k: Kernel) -> None:
    """Tasks without tickets may take them in any order: refuted."""
    _ww(k, None)


@scenario(source=SRCU, expect={"": "deadlock"})
def srcu_reader_waits_for_readers(k: Kernel) -> None:
    """A reader may wait for the end of a grace period of its own domain: refuted."""
    srcu = SrcuStruct(k.program, "srcu")

    @k.thread
    def callback() -> None:
        srcu_read_lock(srcu)
        synchronize_srcu(srcu)
        srcu_read_unlock(srcu)


@scenario(source=SRCU, expect={"": "holds"})
def srcu_waits_for_old_readers_only(k: Kernel) -> None:
    """synchronize_srcu() waits for readers that may still see what was unlinked before it."""
    srcu = SrcuStruct(k.program, "srcu")
    linked, freed = k.program.cell("linked", True), k.program.cell("freed", False)

    def read() -> None:
        srcu_read_lock(srcu)
        if linked.read():
            assert not freed.read(), "used after it was freed"
        srcu_read_unlock(srcu)

    k.thread(name="ann")(read)
    k.thread(name="bob")(read)

    @k.thread
    def updater() -> None:
        linked.write(False)
        synchronize_srcu(srcu)
        freed.write(True)
