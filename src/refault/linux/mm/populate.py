"""Filling page tables ahead of use (``mm/gup.c``, ``mm/madvise.c``, ``mm/mlock.c``).

``mlock(2)`` has a loop of its own around ``__get_user_pages()``, which begins each attempt anew.
``MADV_POPULATE_*`` had one, too, up to 6.8: with a handler that asks each first attempt to be
retried it never ended. Now it goes by GUP's own loop, which says of later attempts that they are.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.explore import restart
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EAGAIN, EFAULT, EHWPOISON, EINTR, EINVAL, ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.gup.pages import (
    Pages,
    __get_user_pages,
    __get_user_pages_locked,
    check_vma_flags,
)
from refault.linux.mm.madvise import madvise_lock, madvise_unlock
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import kernel_function


def populate_once(mm: MmStruct, start: int, pages: int, foll: Foll) -> Pages:
    """Fault pages in by one attempt, which may drop mmap_lock and ask for another."""
    vma = mm.find_vma(start)
    if vma is None:
        return Pages(-ENOMEM)
    if check_vma_flags(vma, foll):
        return Pages(-EINVAL)
    return __get_user_pages(mm, start, pages, foll | Foll.UNLOCKABLE)


@kernel_function("mm/gup.c", label="faultin_page_range")
def faultin_page_range(mm: MmStruct, start: int, pages: int, foll: Foll) -> Pages:
    """Fault pages in; what goes wrong is said as ``MADV_POPULATE_*`` does."""
    asked = foll | Foll.UNLOCKABLE | Foll.MADV_POPULATE | Foll.HWPOISON
    return __get_user_pages_locked(mm, start, pages, asked, locked=True)


@kernel_function("mm/madvise.c", label="madvise_populate")
def madvise_populate(mm: MmStruct, start: int, pages: int, *, write: bool) -> int:
    """``madvise(MADV_POPULATE_READ)`` or ``WRITE``: 0 or -errno."""
    mode = madvise_lock(mm)
    ret = _fill(faultin_page_range, mm, start, pages, Foll.WRITE if write else Foll.NONE)
    madvise_unlock(mm, mode)
    known = (0, -EINTR, -EINVAL, -EHWPOISON, -EFAULT, -ENOMEM)
    return ret if ret in known else -ENOMEM


def _fill(
    fault_in: Callable[[MmStruct, int, int, Foll], Pages],
    mm: MmStruct,
    start: int,
    pages: int,
    foll: Foll,
) -> int:
    """Fault pages in until all are there or one fails; 0 or -errno. mmap_lock is held after.

    Only SIGKILL ends it: a signal that is not fatal is not looked at here.
    """
    done = 0
    while done < pages:
        restart(done)
        found = fault_in(mm, start + done * PAGE_SIZE, pages - done, foll)
        if not found.locked:
            mmap_read_lock(mm)
        if found.ret < 0:
            return found.ret
        done += found.ret
    return 0


@kernel_function("mm/gup.c", label="populate_vma_page_range")
def populate_vma_page_range(mm: MmStruct, start: int, pages: int, foll: Foll) -> Pages:
    """Fault pages in for memory that is locked, as far as one attempt gets."""
    return populate_once(mm, start, pages, foll)


@kernel_function("mm/mlock.c", label="__mm_populate")
def __mm_populate(mm: MmStruct, start: int, pages: int) -> int:
    """Fill locked memory: the part of ``mlock(2)`` that takes faults; 0 or -errno."""
    mmap_read_lock(mm)
    ret = _fill(populate_vma_page_range, mm, start, pages, Foll.WRITE)
    mmap_read_unlock(mm)
    return {-EFAULT: -ENOMEM, -ENOMEM: -EAGAIN}.get(ret, ret)
