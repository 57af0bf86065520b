"""What a fault is asked and what it answers: ``FAULT_FLAG_*``, ``VM_FAULT_*``, ``VM_*``.

The values are the kernel's (``include/linux/mm_types.h``, ``include/linux/mm.h``), and so are the
rules: which flags go together, which results, and who holds the fault lock after each result.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntFlag


class FaultFlag(IntFlag):
    """``enum fault_flag``: what kind of access faulted, and what its handler may do."""

    NONE = 0
    WRITE = 0x1
    MKWRITE = 0x2
    ALLOW_RETRY = 0x4
    RETRY_NOWAIT = 0x8
    KILLABLE = 0x10
    TRIED = 0x20
    USER = 0x40
    REMOTE = 0x80
    INSTRUCTION = 0x100
    INTERRUPTIBLE = 0x200
    UNSHARE = 0x400
    ORIG_PTE_VALID = 0x800
    VMA_LOCK = 0x1000
    DEFAULT = 0x214


class VmFault(IntFlag):
    """``enum vm_fault_reason``: what a fault handler returns."""

    NONE = 0
    OOM = 0x1
    SIGBUS = 0x2
    MAJOR = 0x4
    HWPOISON = 0x10
    HWPOISON_LARGE = 0x20
    SIGSEGV = 0x40
    NOPAGE = 0x100
    LOCKED = 0x200
    RETRY = 0x400
    FALLBACK = 0x800
    DONE_COW = 0x1000
    NEEDDSYNC = 0x2000
    COMPLETED = 0x4000
    HINDEX_MASK = 0x0F0000
    ERROR = 0x873


class Vm(IntFlag):
    """``vm_area_struct.vm_flags``, as far as the model uses them."""

    NONE = 0
    READ = 0x1
    WRITE = 0x2
    EXEC = 0x4
    SHARED = 0x8
    MAYREAD = 0x10
    MAYWRITE = 0x20
    MAYEXEC = 0x40
    GROWSDOWN = 0x100
    UFFD_MISSING = 0x200
    UFFD_WP = 0x1000
    ACCOUNT = 0x100000
    HUGETLB = 0x400000
    GROWSUP = 0x1000000
    HUGEPAGE = 0x20000000
    MERGEABLE = 0x80000000
    SHADOW_STACK = 1 << 37
    UFFD_MINOR = 1 << 41
    UFFD = UFFD_MISSING | UFFD_WP | UFFD_MINOR


def fault_flag_allow_retry_first(flags: FaultFlag) -> bool:
    """Tell whether this is the first attempt of a fault that may be retried."""
    return bool(flags & FaultFlag.ALLOW_RETRY) and not flags & FaultFlag.TRIED


def vma_is_accessible(vm_flags: Vm) -> bool:
    """Tell whether a mapping can be used at all; pages of one that cannot are protnone."""
    return bool(vm_flags & (Vm.READ | Vm.WRITE | Vm.EXEC))


def is_cow_mapping(vm_flags: Vm) -> bool:
    """Tell whether a write gives the mapping a page of its own: private, and may be written."""
    return vm_flags & (Vm.SHARED | Vm.MAYWRITE) == Vm.MAYWRITE


def insane_flags(flags: FaultFlag) -> str:
    """Say which flags go together that the kernel warns of; empty if none do."""
    if flags & FaultFlag.WRITE and flags & FaultFlag.UNSHARE:
        return "WRITE and UNSHARE"
    if flags & FaultFlag.VMA_LOCK and flags & FaultFlag.RETRY_NOWAIT:
        return "VMA_LOCK and RETRY_NOWAIT"
    return ""


def illegal_flags(flags: FaultFlag) -> str:
    """Say what is wrong with a set of fault flags; empty if nothing is.

    Besides what the kernel warns of that is RETRY_NOWAIT without ALLOW_RETRY, of which userfaultfd
    warns, and TRIED without it, which ``enum fault_flag`` says is illegal since 5.7.
    """
    insane = insane_flags(flags)
    if insane or flags & FaultFlag.ALLOW_RETRY:
        return insane
    if flags & FaultFlag.RETRY_NOWAIT:
        return "RETRY_NOWAIT without ALLOW_RETRY"
    return "TRIED without ALLOW_RETRY" if flags & FaultFlag.TRIED else ""


ERRORS = (
    VmFault.OOM,
    VmFault.SIGBUS,
    VmFault.SIGSEGV,
    VmFault.HWPOISON,
    VmFault.HWPOISON_LARGE,
    VmFault.FALLBACK,
)
"""The bits of ``VM_FAULT_ERROR``, one by one."""

SUCCESS = VmFault.MAJOR | VmFault.LOCKED | VmFault.NOPAGE | VmFault.NEEDDSYNC | VmFault.DONE_COW


def families(fault: VmFault) -> Iterator[str]:
    """Name the families that a result belongs to: completed, retry, error; none is success."""
    if fault & VmFault.COMPLETED:
        yield "completed"
    if fault & VmFault.RETRY:
        yield "retry"
    if fault & VmFault.ERROR:
        yield "error"


_MAY_JOIN = {
    "success": SUCCESS,
    "completed": VmFault.COMPLETED | VmFault.MAJOR | VmFault.LOCKED,
    "retry": VmFault.RETRY | VmFault.MAJOR | VmFault.LOCKED,
    "error": VmFault.ERROR | VmFault.MAJOR | VmFault.LOCKED | VmFault.HINDEX_MASK,
}


def illegal_result(fault: VmFault) -> str:
    """Say what is wrong with a result of ``handle_mm_fault()``; empty if nothing is.

    The core and well-behaved handlers return a member of one family, with at most one error; the
    index of a huge page only ever comes with HWPOISON_LARGE, and FALLBACK stays inside.
    """
    found = list(families(fault)) or ["success"]
    if len(found) > 1:
        return f"{' and '.join(found)} at once"
    errors = [bit for bit in ERRORS if fault & bit]
    if len(errors) > 1:
        return f"{len(errors)} errors at once"
    if fault & VmFault.FALLBACK:
        return "FALLBACK, which is for the core alone"
    if fault & VmFault.HINDEX_MASK and not fault & VmFault.HWPOISON_LARGE:
        return "the size of a poisoned huge page without HWPOISON_LARGE"
    strange = fault & ~_MAY_JOIN[found[0]]
    return f"{strange!r} with a result of the family {found[0]}" if strange else ""


def keeps_fault_lock(flags: FaultFlag, fault: VmFault) -> bool:
    """Tell whether the fault lock is still held after this result.

    RETRY has dropped it, except under RETRY_NOWAIT; COMPLETED has; any other result has not.
    """
    if fault & VmFault.RETRY:
        return bool(flags & FaultFlag.RETRY_NOWAIT)
    return not fault & VmFault.COMPLETED
