"""Task states and flags (``include/linux/sched.h``)."""

from __future__ import annotations

from enum import IntFlag


class TaskState(IntFlag):
    """``task_struct.__state``: a wake-up with a mask succeeds iff the mask meets the state."""

    TASK_RUNNING = 0
    TASK_INTERRUPTIBLE = 0x1
    TASK_UNINTERRUPTIBLE = 0x2
    EXIT_DEAD = 0x10
    EXIT_ZOMBIE = 0x20
    TASK_PARKED = 0x40
    TASK_DEAD = 0x80
    TASK_WAKEKILL = 0x100
    TASK_WAKING = 0x200
    TASK_NOLOAD = 0x400
    TASK_NEW = 0x800
    TASK_FREEZABLE = 0x2000
    TASK_KILLABLE = 0x102
    TASK_NORMAL = 0x3
    TASK_STOPPED = 0x104
    TASK_IDLE = 0x402

    def __str__(self) -> str:
        return _NAMES.get(int(self), f"{int(self):#x}")

    def __repr__(self) -> str:
        return str(self)


TASK_RUNNING = TaskState.TASK_RUNNING
TASK_INTERRUPTIBLE = TaskState.TASK_INTERRUPTIBLE
TASK_UNINTERRUPTIBLE = TaskState.TASK_UNINTERRUPTIBLE
TASK_WAKEKILL = TaskState.TASK_WAKEKILL
TASK_KILLABLE = TaskState.TASK_KILLABLE
TASK_NORMAL = TaskState.TASK_NORMAL
TASK_STOPPED = TaskState.TASK_STOPPED
TASK_IDLE = TaskState.TASK_IDLE
TASK_DEAD = TaskState.TASK_DEAD
__TASK_STOPPED = TaskState(0x4)
__TASK_TRACED = TaskState(0x8)

_NAMES = {
    0x0: "TASK_RUNNING",
    0x1: "TASK_INTERRUPTIBLE",
    0x2: "TASK_UNINTERRUPTIBLE",
    0x3: "TASK_NORMAL",
    0x4: "__TASK_STOPPED",
    0x8: "__TASK_TRACED",
    0x80: "TASK_DEAD",
    0x100: "TASK_WAKEKILL",
    0x102: "TASK_KILLABLE",
    0x104: "TASK_STOPPED",
    0x402: "TASK_IDLE",
}


class Pf(IntFlag):
    """``task_struct.flags``, as far as the model uses them."""

    NONE = 0
    EXITING = 0x4
    DUMPCORE = 0x200


class Tif(IntFlag):
    """``thread_info.flags``: why a thread may not go back to user mode as it is.

    The numbers differ between architectures; these are the model's.
    """

    NONE = 0
    SIGPENDING = 0x1
    NOTIFY_SIGNAL = 0x2


class WqFlag(IntFlag):
    """``wait_queue_entry.flags`` of a task's entry, as far as others write them."""

    NONE = 0
    WOKEN = 0x2
    DONE = 0x10
