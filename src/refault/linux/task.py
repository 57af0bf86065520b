"""``struct task_struct``: what the model keeps of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.sched import TASK_RUNNING, TaskState

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class Task:
    """A thread, of a user process or of the kernel.

    ``state`` is ``__state``; ``on_list`` is what ``list_empty_careful()`` tells of the wait-queue
    entry on the task's stack, of which it has one at a time: true from its queueing until
    ``list_del_init()``, also while it is being moved from one queue to the other.
    ``cpu`` is where the thread runs; the model has one CPU a thread unless told otherwise, since
    a thread more on a CPU only takes behaviours away.
    """

    def __init__(self, program: Program, name: str, cpu: int, daemon: bool) -> None:
        self.name = name
        self.cpu = cpu
        self.daemon = daemon
        self.state: Cell[TaskState] = program.cell(f"{name}.state", TASK_RUNNING)
        self.on_list: Cell[bool] = program.cell(f"{name}.on_list", False)

    def __repr__(self) -> str:
        return self.name
