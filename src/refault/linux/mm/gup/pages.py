"""The loops of GUP, and who may end them (``mm/gup.c``).

The caller's ``locked`` is part of what is returned: whether mmap_lock is held by the task. It is
dropped where a fault waits, and only by those whose callers can bear that (UNLOCKABLE).

Two tests for signals, in two places. ``__get_user_pages()`` looks for a fatal one before each page,
so SIGKILL ends any loop. ``__get_user_pages_locked()`` looks once the lock has been dropped, and by
FOLL_INTERRUPTIBLE for any signal: so a signal is looked at only after a fault that waited, pages
that are there are always given, and a wait that no signal ends (for a folio lock, for I/O) is not
made shorter.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import restart
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_flags import Vm, is_cow_mapping
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.linux.page import change_folio, folio_of, folio_put
from refault.linux.include.linux.pgtable import ZERO_PFN
from refault.linux.include.linux.sched.signal import fatal_signal_pending, signal_pending
from refault.linux.include.uapi.errno import EAGAIN, EBUSY, EFAULT, EINTR, EINVAL, ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.gup.faultin import faultin_page, gup_may_unlock
from refault.linux.mm.gup.follow import UNSHARE, Follow, follow_page_mask
from refault.linux.mm.mmap_lock import mmap_read_lock_killable, mmap_read_unlock
from refault.linux.modelled import current, kernel_function


class Pages(NamedTuple):
    """What GUP returns: a count or -errno, the frames, and whether mmap_lock is held."""

    ret: int
    pfns: tuple[int, ...] = ()
    locked: bool = True

    @property
    def errno(self) -> int:
        """-errno, 0 if it returned a count."""
        return min(self.ret, 0)


@kernel_function("mm/gup.c", quiet=True)
def gup_signal_pending(foll: Foll) -> bool:
    """Tell whether a signal is pending that this caller of GUP wants to hear of."""
    if fatal_signal_pending(current()):
        return True
    return bool(foll & Foll.INTERRUPTIBLE) and signal_pending(current())


@kernel_function("mm/gup.c", quiet=True)
def gup_interrupted(done: int) -> int:
    """What is returned where a signal ends it, by how many pages there are already."""
    return done or -EINTR


@kernel_function("mm/gup.c", quiet=True)
def gup_locked(given: bool) -> bool | None:
    """Return ``locked`` for a caller that holds mmap_lock: a variable of GUP's own if need be."""
    return True


@kernel_function("mm/gup.c", quiet=True)
def check_vma_flags(vma: VmArea, foll: Foll) -> int:
    """Tell whether GUP may use a mapping so: 0 or -EFAULT.

    What may be written may be read: by FOLL_FORCE, whatever the protection is now.
    """
    vm_flags = vma.vm_flags.read()
    if foll & Foll.WRITE:
        forced = bool(foll & Foll.FORCE) and is_cow_mapping(vm_flags)
        return 0 if vm_flags & Vm.WRITE or forced else -EFAULT
    forced = bool(foll & Foll.FORCE and vm_flags & (Vm.MAYREAD | Vm.MAYWRITE))
    return 0 if vm_flags & Vm.READ or forced else -EFAULT


@kernel_function("mm/gup.c", label="__get_user_pages")
def __get_user_pages(
    mm: MmStruct, start: int, number: int, foll: Foll, *, locked: bool = True
) -> Pages:
    """Get pages under mmap_lock; a count that is too short says that the next one failed.

    Where a handler says that all is well and installs nothing, this spins with the lock held, and
    only SIGKILL ends it.
    """
    got: tuple[int, ...] = ()
    while len(got) < number:
        restart(got, foll)
        address = start + len(got) * PAGE_SIZE
        vma = mm.find_vma(address)
        if vma is None:
            return _so_far(got, -ENOMEM if foll & Foll.MADV_POPULATE else -EFAULT)
        if check_vma_flags(vma, foll):
            return _so_far(got, -EINVAL if foll & Foll.MADV_POPULATE else -EFAULT)
        if fatal_signal_pending(current()):
            return _so_far(got, -EINTR)
        page = follow_page_mask(vma, address, foll)
        if isinstance(page, Follow):
            faulted = faultin_page(vma, address, foll, page is UNSHARE, locked=locked)
            if faulted.ret in (-EBUSY, -EAGAIN):
                return Pages(len(got), got, faulted.locked)
            if faulted.ret:
                return _so_far(got, faulted.ret)
            foll = asked_after_fault(vma, foll)
        elif page < 0:
            return _so_far(got, page)
        else:
            got = (*got, page)
    return Pages(len(got), got)


@kernel_function("mm/gup.c", quiet=True)
def asked_after_fault(vma: VmArea, foll: Foll) -> Foll:
    """What the next look at a page asks for, after a fault for it: the same as before."""
    return foll


def _so_far(got: tuple[int, ...], errno: int) -> Pages:
    return Pages(len(got) or errno, got)


@kernel_function("mm/gup.c", quiet=True)
def gup_read_lock(mm: MmStruct) -> int:
    """Take mmap_lock for a caller that does not hold it; -EINTR where SIGKILL ends the wait."""
    return mmap_read_lock_killable(mm)


@kernel_function("mm/gup.c", quiet=True)
def __get_user_pages_locked(
    mm: MmStruct, start: int, number: int, foll: Foll, *, locked: bool | None
) -> Pages:
    """Get pages, taking mmap_lock again where a fault dropped it; ``locked`` as the caller has it.

    Without UNLOCKABLE the lock is held all the time. If it was not held to begin with, or a fault
    has dropped it, it is not at the end: the caller is to know that it was not held throughout.
    None is a null pointer: the lock is held, and there is nowhere to say otherwise.
    """
    must_unlock = locked is False
    if must_unlock and gup_read_lock(mm):
        return Pages(-EAGAIN, locked=False)
    found = __get_user_pages(mm, start, number, foll, locked=locked is not None)
    if gup_may_unlock(foll, locked is not None) and not found.locked:
        found = _go_on(mm, start, number, foll, found)
        must_unlock = True
    if must_unlock and found.locked:
        mmap_read_unlock(mm)
        return found._replace(locked=False)
    return found


def _go_on(mm: MmStruct, start: int, number: int, foll: Foll, found: Pages) -> Pages:
    """After the lock was dropped: take it again, retry one page, and then do the rest."""
    got = found.pfns
    while not found.locked:
        restart(got)
        if gup_signal_pending(foll) or mmap_read_lock_killable(mm):
            return Pages(gup_interrupted(len(got)), got, locked=False)
        address = start + len(got) * PAGE_SIZE
        found = __get_user_pages(mm, address, 1, foll | Foll.TRIED)
        if not found.locked:
            continue
        if found.ret != 1:
            return Pages(len(got) or found.ret, got)
        got += found.pfns
        if len(got) < number:
            address = start + len(got) * PAGE_SIZE
            found = __get_user_pages(mm, address, number - len(got), foll)
            got += found.pfns
    return Pages(len(got) or found.ret, got)


@kernel_function("mm/gup.c", label="get_user_pages_unlocked")
def get_user_pages_unlocked(mm: MmStruct, start: int, number: int, foll: Foll) -> Pages:
    """Get pages for somebody who does not hold mmap_lock, and has no use for it."""
    flags = foll | Foll.TOUCH | Foll.GET | Foll.UNLOCKABLE
    return __get_user_pages_locked(mm, start, number, flags, locked=False)


@kernel_function("mm/gup.c", label="get_user_pages")
def get_user_pages(mm: MmStruct, start: int, number: int, foll: Foll) -> Pages:
    """Get pages under mmap_lock, which stays held: the caller gives no ``locked``."""
    flags = foll | Foll.TOUCH | Foll.GET
    return __get_user_pages_locked(mm, start, number, flags, locked=gup_locked(False))


@kernel_function("mm/gup.c", label="get_user_pages_remote")
def get_user_pages_remote(
    mm: MmStruct, start: int, number: int, foll: Foll, *, locked: bool = True
) -> Pages:
    """Get pages of another process, under its mmap_lock; it may be dropped if ``locked`` is given.

    ``locked`` is whether the caller gives one.
    """
    flags = foll | Foll.TOUCH | Foll.REMOTE | Foll.GET
    flags |= Foll.UNLOCKABLE if locked else Foll.NONE
    return __get_user_pages_locked(mm, start, number, flags, locked=gup_locked(locked))


@kernel_function("mm/gup.c", label="pin_user_pages_remote")
def pin_user_pages_remote(mm: MmStruct, start: int, number: int, foll: Foll) -> Pages:
    """Pin pages of another process, under its mmap_lock, which may be dropped."""
    flags = foll | Foll.TOUCH | Foll.REMOTE | Foll.PIN | Foll.UNLOCKABLE
    return __get_user_pages_locked(mm, start, number, flags, locked=True)


@kernel_function("mm/gup.c", quiet=True)
def unpin_user_page(pfn: int) -> None:
    """Give a pin back."""
    if pfn != ZERO_PFN:
        change_folio(pfn, pins=folio_of(pfn).pins - 1)
        folio_put(pfn)


@kernel_function("include/linux/mm.h", quiet=True)
def put_page(pfn: int) -> None:
    """Give a reference back."""
    if pfn != ZERO_PFN:
        folio_put(pfn)
