"""Filling page tables ahead of use (``mm/gup.c``, ``mm/madvise.c``, ``mm/mlock.c``).

``mlock(2)`` has a loop of its own around ``__get_user_pages()``, which begins each attempt anew.
``MADV_POPULATE_*`` had one, too, up to 6.8: with a handler that asks the first attempt to be retried
it never ended. Now it goes by GUP's own loop, which says of later attempts that they are.
"""

from __future__ import annotations

from refault.explore import restart
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.errno import EAGAIN, EFAULT, EHWPOISON, EINTR, EINVAL, ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.gup.pages import (
    __get_user_pages,
    __get_user_pages_locked,
    check_vma_flags,
)
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import current, kernel_function


def populate_by_loop(mm: MmStruct, start: int, pages: int, foll: Foll) -> int:
    """Fault pages in, dropping mmap_lock where a fault waits; 0 or -errno. The lock is held after.

    Only SIGKILL ends it: a signal that is not fatal is not looked at.
    """
    done = 0
    while done < pages:
        restart(done)
        if fatal_signal_pending(current()):
            return -EINTR
        address = start + done * PAGE_SIZE
        vma = mm.find_vma(address)
        if vma is None:
            return -ENOMEM
        if check_vma_flags(vma, foll):
            return -EINVAL
        found = __get_user_pages(mm, address, pages - done, foll | Foll.UNLOCKABLE)
        if not found.locked:
            mmap_read_lock(mm)
        if found.ret < 0:
            return found.ret
        done += found.ret
    return 0


@kernel_function("mm/gup.c", label="faultin_page_range")
def faultin_page_range(mm: MmStruct, start: int, pages: int, foll: Foll) -> int:
    """Fault pages in by GUP's loop; 0 or -errno. mmap_lock is held before and after."""
    done = 0
    while done < pages:
        restart(done)
        address = start + done * PAGE_SIZE
        vma = mm.find_vma(address)
        if vma is None:
            return -ENOMEM
        if check_vma_flags(vma, foll):
            return -EINVAL
        asked = foll | Foll.UNLOCKABLE
        found = __get_user_pages_locked(mm, address, pages - done, asked, locked=True)
        if not found.locked:
            mmap_read_lock(mm)
        if found.ret < 0:
            return found.ret
        done += found.ret
    return 0


@kernel_function("mm/madvise.c", label="madvise_populate")
def madvise_populate(mm: MmStruct, start: int, pages: int, *, write: bool) -> int:
    """``madvise(MADV_POPULATE_READ)`` or ``WRITE``: 0 or -errno."""
    mmap_read_lock(mm)
    ret = faultin_page_range(mm, start, pages, Foll.WRITE if write else Foll.NONE)
    mmap_read_unlock(mm)
    known = (0, -EINTR, -EINVAL, -EHWPOISON, -EFAULT, -ENOMEM)
    return ret if ret in known else -ENOMEM


@kernel_function("mm/gup.c", label="populate_vma_page_range")
def populate_vma_page_range(mm: MmStruct, start: int, pages: int, foll: Foll) -> int:
    """Fault pages in for memory that is locked; 0 or -errno. mmap_lock is held after."""
    return populate_by_loop(mm, start, pages, foll)


@kernel_function("mm/mlock.c", label="__mm_populate")
def __mm_populate(mm: MmStruct, start: int, pages: int) -> int:
    """Fill locked memory: the part of ``mlock(2)`` that takes faults; 0 or -errno."""
    mmap_read_lock(mm)
    ret = populate_vma_page_range(mm, start, pages, Foll.WRITE)
    mmap_read_unlock(mm)
    return {-EFAULT: -ENOMEM, -ENOMEM: -EAGAIN}.get(ret, ret)
