"""What a mapping can be asked for: ``struct vm_operations_struct`` (``include/linux/mm.h``).

A driver, a file system or a story gives a mapping its fault handlers as plain functions. They run
under the fault lock and answer as in the kernel: with ``VM_FAULT_*`` bits, and ``fault`` also with
the page that it found, for which it holds a reference (and the folio lock, with LOCKED).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.uapi.errno import EHWPOISON, ENOMEM
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.linux.include.linux.mm_types import VmFaultInfo

NO_PAGE = -1
"""``vmf->page`` where the handler has found none."""


class Found(NamedTuple):
    """What ``->fault`` returns: the result, and ``vmf->page``."""

    ret: VmFault = VmFault.NONE
    page: int = NO_PAGE


FaultHandler: TypeAlias = "Callable[[VmFaultInfo], Found | VmFault]"
MkwriteHandler: TypeAlias = "Callable[[VmFaultInfo, int], VmFault]"
PfnMkwriteHandler: TypeAlias = "Callable[[VmFaultInfo], VmFault]"
MapPages: TypeAlias = "Callable[[VmFaultInfo, int, int], VmFault]"


@dataclass(frozen=True)
class VmOperations:
    """``struct vm_operations_struct``; None where a mapping does not have the operation.

    ``fault(vmf)`` finds the page, or maps something itself and says NOPAGE. ``page_mkwrite(vmf,
    pfn)`` hears of the first write to a page of a shared mapping. ``map_pages(vmf, first, last)``
    maps what is there already of some pages of the file, without sleeping, and may run under the
    lock of the VMA alone: a mapping that has it says thereby that its ``fault`` may, too.
    ``pfn_mkwrite`` is ``page_mkwrite`` for a mapping without pages.
    """

    fault: FaultHandler | None = None
    page_mkwrite: MkwriteHandler | None = None
    map_pages: MapPages | None = None
    pfn_mkwrite: PfnMkwriteHandler | None = None
    name: str = "driver"

    def __repr__(self) -> str:
        return f"{self.name} mapping"


@kernel_function("include/linux/mm.h", quiet=True)
def vmf_error(err: int) -> VmFault:
    """What a fault says of an error, where nobody has thought about it: SIGBUS for most."""
    if err == -ENOMEM:
        return VmFault.OOM
    return VmFault.HWPOISON if err == -EHWPOISON else VmFault.SIGBUS
