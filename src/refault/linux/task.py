"""``struct task_struct``: what the model keeps of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.sched import TASK_RUNNING, TaskState, WqFlag
from refault.linux.include.linux.sched.signal import SignalStruct, ThreadSignals
from refault.linux.include.uapi.signal import Sigset

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class Task:
    """A thread, of a user process or of the kernel.

    ``state`` is ``__state``; ``on_list`` is what ``list_empty_careful()`` tells of the wait-queue
    entry on the task's stack, of which it has one at a time: true from its queueing until
    ``list_del_init()``, also while it is being moved from one queue to the other.
    ``wait_flags`` are the flags that a waker leaves in that entry; ``wq_flag`` is what a wake
    function leaves on the stack to be found: ``triggered`` of a task in ``poll(2)``, ``waken`` of
    a userfault.
    ``cpu`` is where the thread runs; the model has one CPU a thread unless told otherwise, since
    a thread more on a CPU only takes behaviours away.

    A thread that is ``outside`` belongs to a process of which nothing else matters: it has none of
    the memory that the story is about.

    A thread of a ``process`` can be sent signals and has cells for them; any other has none. To
    these belongs ``sleep_state``, which Linux does not have: what it calls an interruptible sleep.
    """

    def __init__(
        self,
        program: Program,
        name: str,
        cpu: int,
        daemon: bool,
        *,
        process: SignalStruct | None = None,
        blocked: Sigset = (),
        outside: bool = False,
    ) -> None:
        self.name = name
        self.cpu = cpu
        self.daemon = daemon
        self.outside = outside
        self.state: Cell[TaskState] = program.cell(f"{name}.state", TASK_RUNNING)
        self.on_list: Cell[bool] = program.cell(f"{name}.on_list", False)
        self.wq_flag: Cell[bool] = program.cell(f"{name}.wq_flag", False)
        self.wait_flags: Cell[WqFlag] = program.cell(f"{name}.wait_flags", WqFlag.NONE)
        self.process = process
        self.signals: Cell[ThreadSignals] | None = None
        self.sleep_state: Cell[TaskState] | None = None
        if process is not None:
            initial = ThreadSignals(blocked=blocked)
            self.signals = program.cell(f"{name}.signals", initial)
            self.sleep_state = program.cell(f"{name}.sleep_state", TASK_RUNNING)
            process.threads.append(self)

    def __repr__(self) -> str:
        return self.name
