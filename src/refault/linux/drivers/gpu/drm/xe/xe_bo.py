"""The fault handler of xe (``drivers/gpu/drm/xe/xe_bo.c``).

It tries without waiting first. Where that does not do, a first attempt drops mmap_lock, does all
the work that may wait, and says RETRY even where that failed; a later one does it under mmap_lock.
Power management, and buffers that have to be moved or brought in, are left out.
"""

from __future__ import annotations

from refault.linux.drivers.dma_buf.dma_resv import (
    dma_resv_lock_interruptible,
    dma_resv_test_signaled,
    dma_resv_trylock,
    dma_resv_unlock,
    dma_resv_wait_timeout,
)
from refault.linux.drivers.gpu.drm.drm_gem import GemObject, gem_vm_ops, insert_page
from refault.linux.include.linux.mm import VmOperations
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault, fault_flag_allow_retry_first
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.uapi.errno import EAGAIN, EINTR, ENOMEM, ENOSPC, ERESTARTSYS
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.linux.modelled import kernel_function


@kernel_function("drivers/gpu/drm/xe/xe_bo.c")
def xe_err_to_fault_t(err: int) -> VmFault:
    """What a fault says of an error."""
    if err in (0, -EINTR, -ERESTARTSYS, -EAGAIN):
        return VmFault.NOPAGE
    return VmFault.OOM if err in (-ENOMEM, -ENOSPC) else VmFault.SIGBUS


@kernel_function("drivers/gpu/drm/xe/xe_bo.c")
def xe_bo_cpu_fault_fastpath(bo: GemObject, vmf: VmFaultInfo) -> VmFault:
    """Map the page if nothing has to be waited for; else RETRY, with mmap_lock still held."""
    if not dma_resv_trylock(bo.resv):
        return VmFault.RETRY
    idle = dma_resv_test_signaled(bo.resv)
    ret = insert_page(vmf) if idle else VmFault.RETRY
    dma_resv_unlock(bo.resv)
    return ret


def _prepare(bo: GemObject, vmf: VmFaultInfo, *, map_it: bool) -> VmFault:
    err = dma_resv_lock_interruptible(bo.resv)
    if err:
        return xe_err_to_fault_t(err)
    err = dma_resv_wait_timeout(bo.resv, True)
    ret = insert_page(vmf) if map_it and not err else xe_err_to_fault_t(err)
    dma_resv_unlock(bo.resv)
    return ret


@kernel_function("drivers/gpu/drm/xe/xe_bo.c")
def xe_bo_cpu_fault(bo: GemObject, vmf: VmFaultInfo) -> VmFault:
    """``->fault``."""
    ret = xe_bo_cpu_fault_fastpath(bo, vmf)
    if ret != VmFault.RETRY:
        return ret
    if fault_flag_allow_retry_first(vmf.flags):
        if vmf.flags & FaultFlag.RETRY_NOWAIT:
            return VmFault.RETRY
        release_fault_lock(vmf)
        _prepare(bo, vmf, map_it=False)
        return VmFault.RETRY
    return _prepare(bo, vmf, map_it=True)


def xe_vm_ops(bo: GemObject) -> VmOperations:
    """A mapping of a buffer of xe."""
    return gem_vm_ops(bo, xe_bo_cpu_fault, "xe")
