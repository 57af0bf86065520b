"""Drivers whose memory a program maps, and who else wants the buffer meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refault.linux import Kernel, Page
from refault.linux.drivers.dma_buf.dma_resv import (
    dma_resv_lock,
    dma_resv_lock_interruptible,
    dma_resv_trylock,
    dma_resv_unlock,
)
from refault.linux.drivers.gpu.drm.drm_gem import GemObject, gem_vm_ops, insert_page
from refault.linux.drivers.gpu.drm.i915.i915_gem_mman import (
    i915_cpu_vm_ops,
    i915_vm_ops,
    i915_vm_ops_4_16,
)
from refault.linux.drivers.gpu.drm.ttm.ttm_bo_vm import ttm_vm_ops, ttm_vm_ops_4_16
from refault.linux.drivers.gpu.drm.xe.xe_bo import xe_vm_ops
from refault.linux.include.linux.mm import VmOperations, vmf_error
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.kernel.locking.mutex import mutex_lock, mutex_unlock
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.linux.process import AddressSpace

if TYPE_CHECKING:
    from refault.explore import Cell

Ops = Callable[[GemObject], VmOperations]


def fault_or_error(obj: GemObject, vmf: VmFaultInfo) -> VmFault:
    """A ``->fault`` that waits for a lock and hands what came of it to ``vmf_error()``."""
    err = dma_resv_lock_interruptible(obj.resv)
    if err:
        return vmf_error(err)
    ret = insert_page(vmf)
    dma_resv_unlock(obj.resv)
    return ret


def error_vm_ops(obj: GemObject) -> VmOperations:
    """The mapping of a driver that has not thought about signals."""
    return gem_vm_ops(obj, fault_or_error, "vmf_error()")


def fault_or_retry(obj: GemObject, vmf: VmFaultInfo) -> VmFault:
    """A ``->fault`` that never waits with mmap_lock held, and says RETRY as often as it waits."""
    if dma_resv_trylock(obj.resv):
        ret = insert_page(vmf)
        dma_resv_unlock(obj.resv)
        return ret
    if not vmf.flags & FaultFlag.ALLOW_RETRY:
        return VmFault.NOPAGE
    if not vmf.flags & FaultFlag.RETRY_NOWAIT:
        release_fault_lock(vmf)
        if not dma_resv_lock_interruptible(obj.resv):
            dma_resv_unlock(obj.resv)
    return VmFault.RETRY


def retry_vm_ops(obj: GemObject) -> VmOperations:
    """The mapping of a driver that leaves all to the architecture."""
    return gem_vm_ops(obj, fault_or_retry, "always RETRY")


@dataclass
class Buffer:
    """A buffer as a story has it: mapped by a process, and contended by others."""

    k: Kernel
    obj: GemObject
    process: AddressSpace
    page: Page

    def hold(
        self,
        until: Cell[bool] | None = None,
        *,
        device: bool = False,
        taken: Cell[bool] | None = None,
    ) -> None:
        """Let another thread take the buffer's lock, or the device's, until a cell is true.

        It says in ``taken`` when it has it.
        """

        @self.k.thread(daemon=True)
        def submit() -> None:
            if device:
                mutex_lock(self.obj.dev_mutex)
            else:
                dma_resv_lock(self.obj.resv)
            if taken is not None:
                taken.write(True)
            if until is not None:
                until.wait(bool)
            if device:
                mutex_unlock(self.obj.dev_mutex)
            else:
                dma_resv_unlock(self.obj.resv)


def buffer(k: Kernel, ops: Ops, *, busy: bool = False, pages: int = 1) -> Buffer:
    """Make a process that maps a buffer of a driver."""
    obj = GemObject(k.program, busy=busy)
    process = k.mm()
    file = k.file("buffer", vm_ops=ops(obj), pages=pages)
    page = process.mmap(file=file, shared=True, pages=pages)
    return Buffer(k, obj, process, page)


DRIVERS: dict[str, Ops] = {
    "i915": i915_vm_ops,
    "i915, cached": i915_cpu_vm_ops,
    "TTM": ttm_vm_ops,
    "xe": xe_vm_ops,
    "always RETRY": retry_vm_ops,
    "vmf_error()": error_vm_ops,
    "i915 of 4.16": i915_vm_ops_4_16,
    "TTM of 4.16": ttm_vm_ops_4_16,
}
"""Each driver by its name, with the operations of a mapping of its buffers."""
