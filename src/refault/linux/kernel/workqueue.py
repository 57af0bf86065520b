"""Work that a kernel thread does later (``kernel/workqueue.c``).

Of a work item it matters here whether it waits to be run, and whether somebody is at it: whoever
flushes it waits for both to be over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from refault.explore import BLOCKED, Blocked, Mode, current_task
from refault.linux.kernel.locking.lockdep import might_sleep
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class WorkState(NamedTuple):
    """Whether it waits to be run, and which worker is at it."""

    pending: bool = False
    worker: str = ""

    def __repr__(self) -> str:
        return f"{self.worker or 'idle'}{' pending' * self.pending}"


def _running(work: WorkState) -> dict[str, Mode]:
    return {work.worker: "x"} if work.worker else {}


class Work:
    """``struct work_struct``, and the function that does it."""

    def __init__(
        self, program: Program, name: str, function: Callable[[], None], *, queued: bool = False
    ) -> None:
        self.name = name
        self.function = function
        self.state: Cell[WorkState] = program.cell(name, WorkState(queued), holders=_running)

    def __repr__(self) -> str:
        return self.name


def _queue(work: WorkState) -> tuple[WorkState, bool]:
    return work._replace(pending=True), not work.pending


def _take(work: WorkState, worker: str) -> tuple[WorkState, None] | Blocked:
    return (WorkState(False, worker), None) if work.pending else BLOCKED


def _done(work: WorkState) -> tuple[WorkState, None]:
    return work._replace(worker=""), None


def _idle(work: WorkState) -> bool:
    return not work.pending and not work.worker


def _cancel(work: WorkState) -> tuple[WorkState, bool]:
    return work._replace(pending=False), work.pending


def _stopped(work: WorkState) -> bool:
    return not work.worker


@kernel_function("kernel/workqueue.c", label=lambda work: f"queue_work({work})")
def queue_work(work: Work) -> bool:
    """Have it done; False if it is going to be done already."""
    return work.state.update(_queue)


@kernel_function("kernel/workqueue.c", label=lambda work: f"process_one_work({work})")
def process_one_work(work: Work) -> None:
    """What a worker does, once there is something to do: once."""
    work.state.update(_take, current_task())
    work.function()
    work.state.update(_done)


@kernel_function("kernel/workqueue.c", label=lambda work: f"flush_work({work})")
def flush_work(work: Work) -> None:
    """Sleep until it is done and nobody has asked for it again."""
    might_sleep(f"flush_work({work})")
    work.state.wait(_idle)


@kernel_function("kernel/workqueue.c", label=lambda work: f"cancel_work_sync({work})")
def cancel_work_sync(work: Work) -> bool:
    """Take it back, and sleep until nobody is at it; tells whether it was still to be done."""
    might_sleep(f"cancel_work_sync({work})")
    pending = work.state.update(_cancel)
    work.state.wait(_stopped)
    return pending
