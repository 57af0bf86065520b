"""GUP: how it once said what a fault may do, how it failed, and what was proposed for it."""

from __future__ import annotations

from refault.explore import Violation, restart
from refault.linux.fs.userfaultfd.fault import userfaultfd_get_blocking_state
from refault.linux.include.linux.foll import Foll, faultin_flags, vm_fault_to_errno
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault, fault_flag_allow_retry_first
from refault.linux.include.linux.mm_types import MmStruct, VmFaultInfo
from refault.linux.include.linux.sched.signal import fatal_signal_pending, signal_pending
from refault.linux.include.uapi.errno import EFAULT, EINTR
from refault.linux.mm.folio_lock import Behavior, folio_wait_bit_common, lock_in_state
from refault.linux.mm.gup.fast import get_user_pages_fast
from refault.linux.mm.gup.fixup import FixedUp
from refault.linux.mm.gup.pages import put_page
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import mmap_read_lock, release_fault_lock
from refault.linux.mm.populate import populate_once
from refault.linux.modelled import current
from refault.patches.patch import Patch

THREAD = "LKML 2022-06-22, thread of kvm/mm: Allow GUP to respond to non fatal signals"


def _given(foll: Foll, locked: bool) -> bool:
    return locked


def _as_given(given: bool) -> bool | None:
    return True if given else None


foll_unlockable = Patch(
    name="foll_unlockable",
    title="mm/gup: add FOLL_UNLOCKABLE",
    kind="fix",
    commit="f04740f54594",
    since="6.3",
    source="Jason Gunthorpe, 2023",
    replaces={"gup_may_unlock": _given, "gup_locked": _as_given},
)


def _wait_for_lock(mm: MmStruct) -> int:
    mmap_read_lock(mm)
    return 0


gup_locks_killable = Patch(
    name="gup_locks_killable",
    title="mm/gup: have internal functions get the mmap_read_lock()",
    kind="fix",
    commit="b2a72dff85a8",
    since="6.3",
    source="Jason Gunthorpe, 2023; before it SIGKILL did not end the first wait for mmap_lock",
    replaces={"gup_read_lock": _wait_for_lock},
)


populate_retries = Patch(
    name="populate_retries",
    title="mm/madvise: make MADV_POPULATE_(READ|WRITE) handle VM_FAULT_RETRY properly",
    kind="fix",
    commit="631426ba1d45",
    since="6.9",
    source="David Hildenbrand, 2024; before it each attempt was a first one",
    replaces={"faultin_page_range": populate_once},
)


def _any_signal(foll: Foll) -> bool:
    return signal_pending(current())


def _always(foll: Foll, unshare: bool) -> FaultFlag:
    return faultin_flags(foll | Foll.INTERRUPTIBLE, unshare=unshare)


gup_always_interruptible = Patch(
    name="gup_always_interruptible",
    title="mm/gup: any signal ends it, whoever calls",
    kind="proposal",
    source=f"asked by Jason Gunthorpe: {THREAD}",
    replaces={"gup_signal_pending": _any_signal, "gup_fault_flags": _always},
)


def _one_or_the_other(foll: Foll, unshare: bool) -> FaultFlag:
    flags = faultin_flags(foll, unshare=unshare)
    return flags & ~FaultFlag.KILLABLE if flags & FaultFlag.INTERRUPTIBLE else flags


interruptible_without_killable = Patch(
    name="interruptible_without_killable",
    title="mm/gup: a fault that is interruptible need not be killable",
    kind="proposal",
    source=f"follows from what John Hubbard says of a hierarchy: {THREAD}",
    replaces={"gup_fault_flags": _one_or_the_other},
)


def _no_look(foll: Foll) -> bool:
    return False


gup_retry_unchecked = Patch(
    name="gup_retry_unchecked",
    title="mm/gup: try again without a look at signals",
    kind="proposal",
    source=f"what the comment in __get_user_pages_locked() warns of: {THREAD}",
    replaces={"gup_signal_pending": _no_look},
)


def _lock_or_retry(pfn: int, vmf: VmFaultInfo) -> VmFault:
    """``__folio_lock_or_retry()`` that looks at INTERRUPTIBLE, too."""
    first = fault_flag_allow_retry_first(vmf.flags)
    if first and vmf.flags & FaultFlag.RETRY_NOWAIT:
        return VmFault.RETRY
    state = userfaultfd_get_blocking_state(vmf.flags)
    if first:
        release_fault_lock(vmf)
        folio_wait_bit_common(pfn, state, Behavior.SHARED)
        return VmFault.RETRY
    if lock_in_state(pfn, state):
        release_fault_lock(vmf)
        return VmFault.RETRY
    return VmFault.NONE


folio_lock_interruptible = Patch(
    name="folio_lock_interruptible",
    title="mm: folio_lock_or_retry() looks at FAULT_FLAG_INTERRUPTIBLE",
    kind="proposal",
    source=f"thought of by Peter Xu, for swap-in: {THREAD}",
    replaces={"__folio_lock_or_retry": _lock_or_retry},
)


def _zero(done: int) -> int:
    return done


def _any_count(mm: MmStruct, address: int) -> int:
    found = get_user_pages_fast(mm, address, 1, Foll.NONE)
    if found.ret < 0:
        return found.ret
    if not found.pfns:
        raise Violation("uninitialised pointer", "lookup_node() uses a page that GUP has not set")
    put_page(found.pfns[0])
    return 0


gup_zero_when_killed = Patch(
    name="gup_zero_when_killed",
    title="mm/gup: a fatal signal ends it with a count, also with none",
    kind="proposal",
    source="5.7-rc1; undone before 5.7 by ba841078cd05 and ae46d2aa6a7f",
    replaces={"gup_interrupted": _zero, "lookup_node": _any_count},
)


def _only_twice(mm: MmStruct, address: int, flags: FaultFlag, *, unlockable: bool) -> FixedUp:
    """``fixup_user_fault()`` that takes the second RETRY for success."""
    if unlockable:
        flags |= FaultFlag.ALLOW_RETRY | FaultFlag.KILLABLE
    unlocked = False
    while True:
        restart(flags, unlocked)
        vma = mm.find_vma(address)
        if vma is None:
            return FixedUp(-EFAULT, unlocked)
        if flags & FaultFlag.KILLABLE and fatal_signal_pending(current()):
            return FixedUp(-EINTR, unlocked)
        fault = handle_mm_fault(vma, address, flags)
        if fault & VmFault.COMPLETED:
            mmap_read_lock(mm)
            return FixedUp(0, unlocked=True)
        if fault & VmFault.ERROR:
            return FixedUp(vm_fault_to_errno(fault, Foll.NONE), unlocked)
        if not fault & VmFault.RETRY:
            return FixedUp(0, unlocked)
        mmap_read_lock(mm)
        unlocked = True
        if flags & FaultFlag.TRIED:
            return FixedUp(0, unlocked)
        flags |= FaultFlag.TRIED


fixup_retries_once = Patch(
    name="fixup_retries_once",
    title="mm/gup: fixup_user_fault() tries again once, whatever comes of it",
    kind="proposal",
    source="5.7-rc1; undone before 5.7 by 475f4dfc021c",
    replaces={"fixup_user_fault": _only_twice},
)
