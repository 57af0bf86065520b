"""Buffers that a GPU and a program share (``drivers/gpu/drm/drm_gem.c``).

The pages of a buffer are those of the file that the program maps. A fault handler of a driver runs
with ``vm_fault_begin()`` before it, and ``vm_fault_result()`` and ``vm_fault_end()`` behind, which
do nothing in Linux: what has been proposed to tame signals in there is put in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from refault.linux.drivers.dma_buf.dma_resv import DmaResv
from refault.linux.include.linux.mm import VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.kernel.locking.mutex import Mutex
from refault.linux.mm.memory.insert import vmf_insert_pfn
from refault.linux.mm.page_cache import cached
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Program


class GemObject:
    """``struct drm_gem_object``: a buffer, with its reservation.

    ``dev_mutex`` is the lock of the whole device, where there is one (``struct_mutex``). The GPU
    is still ``busy`` with the buffer until the fence of the reservation is signalled.
    """

    def __init__(self, program: Program, name: str = "bo", *, busy: bool = False) -> None:
        self.name = name
        self.resv = DmaResv(program, name, busy=busy)
        self.dev_mutex = Mutex(program, f"{name}.dev_mutex")

    def __repr__(self) -> str:
        return self.name


Handler = Callable[[GemObject, VmFaultInfo], VmFault]


@kernel_function("drivers/gpu/drm/drm_gem.c", quiet=True)
def vm_fault_begin(vmf: VmFaultInfo) -> object:
    """What a driver does before its fault handler: nothing."""
    return None


@kernel_function("drivers/gpu/drm/drm_gem.c", quiet=True)
def vm_fault_end(saved: object) -> None:
    """What it does behind it; ``saved`` is what the first has returned."""


@kernel_function("drivers/gpu/drm/drm_gem.c", quiet=True)
def vm_fault_result(ret: VmFault) -> VmFault:
    """What the fault answers where its handler has answered ``ret``: the same."""
    return ret


def gem_vm_ops(obj: GemObject, handler: Handler, name: str) -> VmOperations:
    """The operations of a mapping of the buffer, for ``Kernel.file()``."""

    def fault(vmf: VmFaultInfo) -> VmFault:
        saved = vm_fault_begin(vmf)
        ret = vm_fault_result(handler(obj, vmf))
        vm_fault_end(saved)
        return ret

    return VmOperations(fault=fault, name=name)


def insert_page(vmf: VmFaultInfo) -> VmFault:
    """Map the page of the buffer that the program has asked for."""
    file = vmf.vma.vm_file
    assert file is not None, "buffers are mapped through a file"
    return vmf_insert_pfn(vmf, cached(file.mapping, vmf.pgoff))
