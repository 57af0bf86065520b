"""``FOLL_*``: what a caller of GUP asks for (``include/linux/mm_types.h``, ``mm/internal.h``)."""

from __future__ import annotations

from enum import IntFlag

from refault.linux.include.linux.mm_flags import FaultFlag, VmFault
from refault.linux.include.uapi.errno import EFAULT, EHWPOISON, ENOMEM


class Foll(IntFlag):
    """``FOLL_*`` with the kernel's values; those from ``TOUCH`` on are for GUP itself."""

    NONE = 0
    WRITE = 1 << 0
    GET = 1 << 1
    DUMP = 1 << 2
    FORCE = 1 << 3
    NOWAIT = 1 << 4
    NOFAULT = 1 << 5
    HWPOISON = 1 << 6
    LONGTERM = 1 << 8
    INTERRUPTIBLE = 1 << 11
    HONOR_NUMA_FAULT = 1 << 12
    TOUCH = 1 << 16
    TRIED = 1 << 17
    REMOTE = 1 << 18
    PIN = 1 << 19
    FAST_ONLY = 1 << 20
    UNLOCKABLE = 1 << 21
    MADV_POPULATE = 1 << 22


def faultin_flags(foll: Foll, *, unshare: bool = False) -> FaultFlag:
    """What ``faultin_page()`` lets a fault do.

    Waiting that can be ended takes a lock that can be dropped: KILLABLE and INTERRUPTIBLE come
    with ALLOW_RETRY only, and INTERRUPTIBLE without UNLOCKABLE is ignored.
    """
    flags = FaultFlag.NONE
    if foll & Foll.WRITE:
        flags |= FaultFlag.WRITE
    if foll & Foll.REMOTE:
        flags |= FaultFlag.REMOTE
    if foll & Foll.UNLOCKABLE:
        flags |= FaultFlag.ALLOW_RETRY | FaultFlag.KILLABLE
        if foll & Foll.INTERRUPTIBLE:
            flags |= FaultFlag.INTERRUPTIBLE
    if foll & Foll.NOWAIT:
        flags |= FaultFlag.ALLOW_RETRY | FaultFlag.RETRY_NOWAIT
    if foll & Foll.TRIED:
        flags |= FaultFlag.TRIED
    return flags | (FaultFlag.UNSHARE if unshare else FaultFlag.NONE)


def vm_fault_to_errno(fault: VmFault, foll: Foll) -> int:
    """The error that a failed fault is to a caller of GUP; 0 if it did not fail."""
    if fault & VmFault.OOM:
        return -ENOMEM
    if fault & (VmFault.HWPOISON | VmFault.HWPOISON_LARGE):
        return -EHWPOISON if foll & Foll.HWPOISON else -EFAULT
    return -EFAULT if fault & (VmFault.SIGBUS | VmFault.SIGSEGV) else 0
