"""Rwsems that are not fair."""

from __future__ import annotations

from refault.explore import BLOCKED, Blocked, current_task
from refault.linux.kernel.locking.lockdep import lock_acquire, might_sleep
from refault.linux.kernel.locking.rwsem import Rwsem, RwsemState
from refault.patches.patch import Patch


def _enter(sem: RwsemState, task: str) -> tuple[RwsemState, None] | Blocked:
    """Writers that wait are passed by."""
    if sem.writer:
        return BLOCKED
    return sem._replace(readers=tuple(sorted((*sem.readers, task)))), None


def _down_read(sem: Rwsem) -> None:
    might_sleep(f"down_read({sem})")
    sem.count.update(_enter, current_task())
    lock_acquire(sem.name)


rwsem_reader_preference = Patch(
    name="rwsem_reader_preference",
    title="locking/rwsem: readers do not wait for writers that wait",
    kind="proposal",
    source="a change of our own, to see what depends on the fairness of the lock",
    replaces={"down_read": _down_read},
)
