"""The fault handlers of i915 (``drivers/gpu/drm/i915/gem/i915_gem_mman.c``).

They wait under mmap_lock, never drop it, and never say RETRY. Whatever ended a wait, they say
NOPAGE unless it is known to be hopeless: the program's instruction runs again and faults again.
"""

from __future__ import annotations

from refault.linux.drivers.dma_buf.dma_resv import (
    dma_resv_lock_interruptible,
    dma_resv_unlock,
    dma_resv_wait_timeout,
)
from refault.linux.drivers.gpu.drm.drm_gem import GemObject, gem_vm_ops, insert_page
from refault.linux.include.linux.mm import VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.uapi.errno import (
    EAGAIN,
    EBUSY,
    EINTR,
    ENOBUFS,
    ENOMEM,
    ENOSPC,
    ERESTARTSYS,
)
from refault.linux.kernel.locking.mutex import mutex_lock_interruptible, mutex_unlock
from refault.linux.modelled import kernel_function

_TRANSIENT = (0, -EAGAIN, -ENOSPC, -ENOBUFS, -ERESTARTSYS, -EINTR, -EBUSY)
_TRANSIENT_4_16 = (0, -EAGAIN, -ERESTARTSYS, -EINTR, -EBUSY)


@kernel_function("drivers/gpu/drm/i915/gem/i915_gem_mman.c")
def i915_error_to_vmf_fault(err: int) -> VmFault:
    """What a fault says of an error; of one that is not known as well, with a warning."""
    if err in _TRANSIENT:
        return VmFault.NOPAGE
    return VmFault.OOM if err == -ENOMEM else VmFault.SIGBUS


@kernel_function("drivers/gpu/drm/i915/gem/i915_gem_mman.c")
def vm_fault_cpu(obj: GemObject, vmf: VmFaultInfo) -> VmFault:
    """``->fault`` of a mapping that goes through the CPU's caches."""
    err = dma_resv_lock_interruptible(obj.resv)
    if err:
        return i915_error_to_vmf_fault(err)
    ret = insert_page(vmf)
    dma_resv_unlock(obj.resv)
    return ret


@kernel_function("drivers/gpu/drm/i915/gem/i915_gem_mman.c")
def vm_fault_gtt(obj: GemObject, vmf: VmFaultInfo) -> VmFault:
    """``->fault`` of a mapping through the GPU's aperture.

    The object is locked, the GPU waited for, and a place in the aperture taken under the lock of
    its address space. A reset of the GPU and the eviction of others are left out.
    """
    err = dma_resv_lock_interruptible(obj.resv)
    if err:
        return i915_error_to_vmf_fault(err)
    err = dma_resv_wait_timeout(obj.resv, True)
    if not err:
        err = mutex_lock_interruptible(obj.dev_mutex)
        if not err:
            mutex_unlock(obj.dev_mutex)
    ret = i915_error_to_vmf_fault(err) if err else insert_page(vmf)
    dma_resv_unlock(obj.resv)
    return ret


def i915_vm_ops(obj: GemObject) -> VmOperations:
    """A mapping of a buffer of i915 through the aperture, as in 6.18."""
    return gem_vm_ops(obj, vm_fault_gtt, "i915")


def i915_cpu_vm_ops(obj: GemObject) -> VmOperations:
    """A mapping of a buffer of i915 through the CPU's caches, as in 6.18."""
    return gem_vm_ops(obj, vm_fault_cpu, "i915, cached")


def i915_gem_fault(obj: GemObject, vmf: VmFaultInfo) -> VmFault:
    """``->fault`` in 4.16: wait for the GPU with no lock, then take the one of the device."""
    err = dma_resv_wait_timeout(obj.resv, True) or mutex_lock_interruptible(obj.dev_mutex)
    if err:
        return VmFault.NOPAGE if err in _TRANSIENT_4_16 else VmFault.SIGBUS
    ret = insert_page(vmf)
    mutex_unlock(obj.dev_mutex)
    return ret


def i915_vm_ops_4_16(obj: GemObject) -> VmOperations:
    """A mapping of a buffer of i915, as in 4.16."""
    return gem_vm_ops(obj, i915_gem_fault, "i915 of 4.16")
