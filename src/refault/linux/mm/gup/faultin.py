"""One fault on behalf of GUP (``mm/gup.c``: ``faultin_page()``)."""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import Violation, note
from refault.linux.include.linux.foll import Foll, faultin_flags, vm_fault_to_errno
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.uapi.errno import EAGAIN, EBUSY, EFAULT
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.modelled import kernel_function


class FaultedIn(NamedTuple):
    """What came of a fault: 0 or -errno, and whether mmap_lock is still held (``*locked``)."""

    ret: int
    locked: bool = True


@kernel_function("mm/gup.c", quiet=True)
def gup_may_unlock(foll: Foll, locked: bool) -> bool:
    """Tell whether a fault may drop mmap_lock; ``locked``: whether it has where to say so.

    It always has, for GUP has a variable of its own for callers that give none. So that says
    nothing, and a flag does.
    """
    return bool(foll & Foll.UNLOCKABLE)


@kernel_function("mm/gup.c", quiet=True)
def gup_fault_flags(foll: Foll, unshare: bool) -> FaultFlag:
    """Return what the fault may do."""
    return faultin_flags(foll, unshare=unshare)


@kernel_function("mm/gup.c", label="faultin_page")
def faultin_page(
    vma: VmArea, address: int, foll: Foll, unshare: bool, *, locked: bool = True
) -> FaultedIn:
    """Fault a page in for somebody who holds mmap_lock.

    -EAGAIN says that the fault is done and the lock dropped, -EBUSY that it is to be retried: the
    lock is dropped too, unless the caller does not want to wait.
    """
    if foll & Foll.NOFAULT:
        return FaultedIn(-EFAULT)
    unlockable = Foll.UNLOCKABLE if gup_may_unlock(foll, locked) else Foll.NONE
    flags = gup_fault_flags((foll & ~Foll.UNLOCKABLE) | unlockable, unshare)
    fault = handle_mm_fault(vma, address, flags)
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
