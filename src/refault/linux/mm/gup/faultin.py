"""One fault on behalf of GUP (``mm/gup.c``: ``faultin_page()``)."""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import Violation, note
from refault.linux.include.linux.foll import Foll, faultin_flags, vm_fault_to_errno
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.uapi.errno import EAGAIN, EBUSY, EFAULT
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.modelled import kernel_function


class FaultedIn(NamedTuple):
    """What came of a fault: 0 or -errno, and whether mmap_lock is still held (``*locked``)."""

    ret: int
    locked: bool = True


@kernel_function("mm/gup.c", label="faultin_page")
def faultin_page(vma: VmArea, address: int, foll: Foll, unshare: bool) -> FaultedIn:
    """Fault a page in for somebody who holds mmap_lock.

    -EAGAIN says that the fault is done and the lock dropped, -EBUSY that it is to be retried: the
    lock is dropped too, unless the caller does not want to wait.
    """
    if foll & Foll.NOFAULT:
        return FaultedIn(-EFAULT)
    fault = handle_mm_fault(vma, address, faultin_flags(foll, unshare=unshare))
    if fault & VmFault.COMPLETED:
        return FaultedIn(-EAGAIN, locked=False)
    if fault & VmFault.ERROR:
        errno = vm_fault_to_errno(fault, foll)
        if not errno:
            raise Violation("BUG", f"GUP knows no error for {fault!r}")
        return FaultedIn(errno)
    if fault & VmFault.RETRY:
        note("to be retried")
        return FaultedIn(-EBUSY, locked=bool(foll & Foll.NOWAIT))
    return FaultedIn(0)
