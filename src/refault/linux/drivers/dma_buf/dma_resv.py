"""Reservations of buffers: a lock, and a fence (``drivers/dma-buf/dma-resv.c``).

The fence stands for all the work of GPUs on the buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.drivers.dma_buf.dma_fence import DmaFence, dma_fence_wait
from refault.linux.kernel.locking.ww_mutex import (
    WwAcquireCtx,
    WwMutex,
    ww_mutex_lock,
    ww_mutex_lock_interruptible,
    ww_mutex_trylock,
    ww_mutex_unlock,
)
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Program


class DmaResv:
    """``struct dma_resv`` with one fence."""

    def __init__(self, program: Program, name: str, *, busy: bool = False) -> None:
        self.name = name
        self.lock = WwMutex(program, f"{name}.resv", WwAcquireCtx(program, f"{name}.resv_class"))
        self.fence = DmaFence(program, f"{name}.fence", signaled=not busy)

    def __repr__(self) -> str:
        return self.name


@kernel_function("include/linux/dma-resv.h", quiet=True)
def dma_resv_lock(resv: DmaResv) -> int:
    """Take the lock, whatever signals come."""
    return ww_mutex_lock(resv.lock)


@kernel_function("include/linux/dma-resv.h", quiet=True)
def dma_resv_lock_interruptible(resv: DmaResv) -> int:
    """Take the lock; -EINTR where a signal ends the wait."""
    return ww_mutex_lock_interruptible(resv.lock)


@kernel_function("include/linux/dma-resv.h", quiet=True)
def dma_resv_trylock(resv: DmaResv) -> bool:
    """Take the lock if it is free."""
    return ww_mutex_trylock(resv.lock)


@kernel_function("include/linux/dma-resv.h", quiet=True)
def dma_resv_unlock(resv: DmaResv) -> None:
    """Give the lock back."""
    ww_mutex_unlock(resv.lock)


@kernel_function("drivers/dma-buf/dma-resv.c", quiet=True)
def dma_resv_test_signaled(resv: DmaResv) -> bool:
    """Tell whether the GPU is done with the buffer."""
    return resv.fence.signaled.peek(bool)


@kernel_function("drivers/dma-buf/dma-resv.c", quiet=True)
def dma_resv_wait_timeout(resv: DmaResv, intr: bool) -> int:
    """Wait until the GPU is done; 0, or -ERESTARTSYS where ``intr`` and a signal comes first."""
    return dma_fence_wait(resv.fence, intr)
