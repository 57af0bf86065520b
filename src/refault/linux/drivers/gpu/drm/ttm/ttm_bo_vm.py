"""The fault handler of TTM (``drivers/gpu/drm/ttm/ttm_bo_vm.c``): amdgpu, nouveau, vmwgfx.

Where the buffer is contended, or the GPU busy with it, a first attempt drops mmap_lock, waits, and
says RETRY, whatever ended the wait. A second attempt waits under mmap_lock, and if a signal ends
that wait it says NOPAGE, without having mapped anything. The memory of the buffer is there: that it
is brought in, allocated or imported from elsewhere is left out.
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
from refault.linux.include.uapi.errno import ERESTARTSYS
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.linux.modelled import kernel_function


@kernel_function("drivers/gpu/drm/ttm/ttm_bo_vm.c")
def ttm_bo_vm_reserve(bo: GemObject, vmf: VmFaultInfo) -> VmFault:
    """Reserve the buffer; with any other answer than none it is not reserved."""
    if dma_resv_trylock(bo.resv):
        return VmFault.NONE
    if fault_flag_allow_retry_first(vmf.flags):
        if vmf.flags & FaultFlag.RETRY_NOWAIT:
            return VmFault.RETRY
        release_fault_lock(vmf)
        if not dma_resv_lock_interruptible(bo.resv):
            dma_resv_unlock(bo.resv)
        return VmFault.RETRY
    return VmFault.NOPAGE if dma_resv_lock_interruptible(bo.resv) else VmFault.NONE


@kernel_function("drivers/gpu/drm/ttm/ttm_bo_vm.c")
def ttm_bo_vm_fault_idle(bo: GemObject, vmf: VmFaultInfo) -> VmFault:
    """Wait for the GPU; with RETRY, but for NOWAIT, the buffer is not reserved any more."""
    if dma_resv_test_signaled(bo.resv):
        return VmFault.NONE
    if fault_flag_allow_retry_first(vmf.flags):
        if vmf.flags & FaultFlag.RETRY_NOWAIT:
            return VmFault.RETRY
        release_fault_lock(vmf)
        dma_resv_wait_timeout(bo.resv, True)
        dma_resv_unlock(bo.resv)
        return VmFault.RETRY
    err = dma_resv_wait_timeout(bo.resv, True)
    if not err:
        return VmFault.NONE
    return VmFault.NOPAGE if err == -ERESTARTSYS else VmFault.SIGBUS


@kernel_function("drivers/gpu/drm/ttm/ttm_bo_vm.c")
def ttm_bo_vm_fault_reserved(bo: GemObject, vmf: VmFaultInfo) -> VmFault:
    """Map the page of a buffer that is reserved."""
    ret = ttm_bo_vm_fault_idle(bo, vmf)
    return ret if ret else insert_page(vmf)


@kernel_function("drivers/gpu/drm/ttm/ttm_bo_vm.c")
def ttm_bo_vm_fault(bo: GemObject, vmf: VmFaultInfo) -> VmFault:
    """``->fault``."""
    ret = ttm_bo_vm_reserve(bo, vmf)
    if ret:
        return ret
    ret = ttm_bo_vm_fault_reserved(bo, vmf)
    if ret == VmFault.RETRY and not vmf.flags & FaultFlag.RETRY_NOWAIT:
        return ret
    dma_resv_unlock(bo.resv)
    return ret


def ttm_vm_ops(bo: GemObject) -> VmOperations:
    """A mapping of a buffer of TTM, as in 6.18."""
    return gem_vm_ops(bo, ttm_bo_vm_fault, "TTM")


def ttm_bo_vm_fault_4_16(bo: GemObject, vmf: VmFaultInfo) -> VmFault:
    """``->fault`` in 4.16: it never waits for the reservation under mmap_lock.

    An attempt that may not be retried says NOPAGE at once where the buffer is reserved by others.
    """
    may_retry = vmf.flags & FaultFlag.ALLOW_RETRY
    nowait = vmf.flags & FaultFlag.RETRY_NOWAIT
    if not dma_resv_trylock(bo.resv):
        if not may_retry:
            return VmFault.NOPAGE
        if not nowait:
            release_fault_lock(vmf)
            if not dma_resv_lock_interruptible(bo.resv):
                dma_resv_unlock(bo.resv)
        return VmFault.RETRY
    if dma_resv_test_signaled(bo.resv):
        ret = insert_page(vmf)
    elif may_retry:
        ret = VmFault.RETRY
        if not nowait:
            release_fault_lock(vmf)
            dma_resv_wait_timeout(bo.resv, True)
    else:
        err = dma_resv_wait_timeout(bo.resv, True)
        ret = VmFault.NOPAGE if err else insert_page(vmf)
    dma_resv_unlock(bo.resv)
    return ret


def ttm_vm_ops_4_16(bo: GemObject) -> VmOperations:
    """A mapping of a buffer of TTM, as in 4.16."""
    return gem_vm_ops(bo, ttm_bo_vm_fault_4_16, "TTM of 4.16")
