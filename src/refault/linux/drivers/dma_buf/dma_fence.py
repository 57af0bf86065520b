"""Fences: whether a piece of work of a GPU is done (``drivers/dma-buf/dma-fence.c``).

Waiting for one is a single step, blocked until the fence is signalled or a signal ends the wait:
its wake-up is taken to be right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import atomic
from refault.linux.include.linux.sched import TASK_UNINTERRUPTIBLE
from refault.linux.include.linux.sched.signal import interrupts
from refault.linux.include.uapi.errno import ERESTARTSYS
from refault.linux.kernel.locking.lockdep import might_sleep
from refault.linux.kernel.sched.sleep_state import INTERRUPTED, interruptible_sleep
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.include.linux.sched import TaskState


class DmaFence:
    """``struct dma_fence``; it begins signalled where there is nothing to wait for."""

    def __init__(self, program: Program, name: str, *, signaled: bool = True) -> None:
        self.name = name
        self.signaled: Cell[bool] = program.cell(name, signaled)

    def __repr__(self) -> str:
        return self.name


@kernel_function("drivers/dma-buf/dma-fence.c", label=lambda fence: f"dma_fence_signal({fence})")
def dma_fence_signal(fence: DmaFence) -> None:
    """The work is done."""
    fence.signaled.write(True)


def wait_for(fence: DmaFence, state: TaskState) -> int:
    """Sleep in ``state`` until the fence is signalled; -ERESTARTSYS where a signal comes first."""
    might_sleep(f"dma_fence_wait({fence})")
    task = current()
    if task.signals is None or not state & INTERRUPTED:
        fence.signaled.wait(bool)
        return 0
    with atomic():
        if fence.signaled.peek(bool):
            return 0
        task.signals.wait(interrupts, state)
    return -ERESTARTSYS


@kernel_function("drivers/dma-buf/dma-fence.c", label=lambda fence, _: f"dma_fence_wait({fence})")
def dma_fence_wait(fence: DmaFence, intr: bool) -> int:
    """Wait for the fence, ``intr`` if a signal may end it."""
    return wait_for(fence, interruptible_sleep() if intr else TASK_UNINTERRUPTIBLE)
