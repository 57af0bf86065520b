"""Reading and writing the memory of another process (``mm/process_vm_access.c``, ``mm/memory.c``).

Two ways with different manners. ``process_vm_readv(2)`` pins with a lock that may be dropped, so it
waits in userfaultfd, and SIGKILL ends it; whatever the error, it says -EFAULT. ``/proc/PID/mem``
and ptrace keep the lock, so a fault that would wait fails, and what has been done so far is what
they return.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import restart
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import frame
from refault.linux.include.linux.pgtable import ZERO_PFN
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.lib.iov_iter import copy_page_to_iter, reach, span
from refault.linux.mm.gup.pages import (
    Pages,
    get_user_pages_remote,
    pin_user_pages_remote,
    put_page,
    unpin_user_page,
)
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_lock_killable,
    mmap_read_unlock,
)
from refault.linux.modelled import kernel_function


class Copied(NamedTuple):
    """What a call returns, in pages or -errno, and a word of each page it has read."""

    ret: int
    data: tuple[int, ...] = ()


def contents(pfn: int) -> int:
    """Read the word that a page holds, by its frame."""
    return 0 if pfn == ZERO_PFN else frame(pfn).data.read()


class Local(NamedTuple):
    """A buffer of the caller, in its own memory."""

    mm: MmStruct
    address: int


@kernel_function("mm/process_vm_access.c", label="process_vm_rw")
def process_vm_rw(
    mm: MmStruct, start: int, length: int, *, write: int | None = None, local: Local | None = None
) -> Copied:
    """``process_vm_readv(2)``, or ``process_vm_writev(2)`` of a word to each page.

    Returns bytes, or -EFAULT where there are none. A read copies to the ``local`` buffer while the
    pages are pinned; without one it has where to put them.
    """
    done: int = 0
    data: tuple[int, ...] = ()
    while done < length:
        restart(done, data)
        at, left = start + done, length - done
        found = _pin(mm, at, left, Foll.NONE if write is None else Foll.WRITE)
        if found.ret <= 0:
            break
        wanted = reach(found.ret, at, left)
        moved = 0
        for pfn in found.pfns:
            if write is not None:
                frame(pfn).data.write(write)
            data = (*data, contents(pfn))
            part = reach(1, at + moved, wanted - moved)
            moved += _copy_out(local, done + moved, data[-1], part) if local else part
        for pfn in found.pfns:
            unpin_user_page(pfn)
        done += moved
        if moved < wanted:
            break
    return Copied(done or -EFAULT, data)


def _pin(mm: MmStruct, start: int, length: int, foll: Foll) -> Pages:
    """Pin the pages of so many bytes, as far as they are to be had."""
    mmap_read_lock(mm)
    first = start - start % PAGE_SIZE
    found = pin_user_pages_remote(mm, first, span(start, length), foll)
    if found.locked:
        mmap_read_unlock(mm)
    return found


def _copy_out(local: Local, offset: int, value: int, length: int) -> int:
    return copy_page_to_iter(local.mm, local.address + offset, value, length)


@kernel_function("mm/memory.c", label="access_remote_vm")
def access_remote_vm(mm: MmStruct, start: int, pages: int, *, write: int | None = None) -> Copied:
    """Read or write as a debugger does; returns the pages done, 0 if SIGKILL came first.

    ``FOLL_FORCE`` writes to private memory that is read-only, and reads what may not be read.
    """
    foll = Foll.FORCE | (Foll.WRITE if write is not None else Foll.NONE)
    if mmap_read_lock_killable(mm):
        return Copied(0)
    data: tuple[int, ...] = ()
    while len(data) < pages:
        restart(data)
        address = start + len(data) * PAGE_SIZE
        found = get_user_pages_remote(mm, address, 1, foll, locked=False)
        if found.ret <= 0:
            break
        (pfn,) = found.pfns
        if write is not None:
            frame(pfn).data.write(write)
        data = (*data, contents(pfn))
        put_page(pfn)
    mmap_read_unlock(mm)
    return Copied(len(data), data)
