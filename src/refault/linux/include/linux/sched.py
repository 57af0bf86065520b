"""Task states (``include/linux/sched.h``)."""

from __future__ import annotations

from enum import IntFlag


class TaskState(IntFlag):
    """``task_struct.__state``: a wake-up with a mask succeeds iff the mask meets the state."""

    TASK_RUNNING = 0
    TASK_INTERRUPTIBLE = 0x1
    TASK_UNINTERRUPTIBLE = 0x2
    TASK_WAKEKILL = 0x100
    TASK_KILLABLE = 0x102
    TASK_NORMAL = 0x3

    def __str__(self) -> str:
        return _NAMES.get(int(self), f"{int(self):#x}")

    def __repr__(self) -> str:
        return str(self)


TASK_RUNNING = TaskState.TASK_RUNNING
TASK_INTERRUPTIBLE = TaskState.TASK_INTERRUPTIBLE
TASK_UNINTERRUPTIBLE = TaskState.TASK_UNINTERRUPTIBLE
TASK_KILLABLE = TaskState.TASK_KILLABLE
TASK_NORMAL = TaskState.TASK_NORMAL

_NAMES = {
    0x0: "TASK_RUNNING",
    0x1: "TASK_INTERRUPTIBLE",
    0x2: "TASK_UNINTERRUPTIBLE",
    0x3: "TASK_NORMAL",
    0x100: "TASK_WAKEKILL",
    0x102: "TASK_KILLABLE",
}
