"""``read(2)`` and ``write(2)`` of a file through the page cache (``mm/filemap.c``).

A write copies from user memory with a folio of the file locked, so it must not fault there: the
user's page may be that very folio. It copies with faults disabled, and faults the page in once it
has given the folio back. User buffer and place in the file begin with a page, and the pages of the
file are in the cache.
"""

from __future__ import annotations

from refault.explore import restart
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import change_folio, folio_put, frame
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.errno import EFAULT, EINTR
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.lib.iov_iter import copy_page_to_iter
from refault.linux.lib.usercopy import __copy_from_user_inatomic as copy_from_user_inatomic
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.mm.filemap_fault import filemap_get_folio
from refault.linux.mm.gup.fault_in import fault_in_readable
from refault.linux.modelled import NotModelled, current, kernel_function


def _cached(file: File, at: int) -> int:
    pfn = filemap_get_folio(file.mapping, at // PAGE_SIZE)
    if not pfn:
        raise NotModelled("a read or write of a page of a file that is not in the page cache")
    return pfn


@kernel_function("mm/filemap.c", label="write to the page cache")
def generic_perform_write(file: File, mm: MmStruct, address: int, count: int) -> int:
    """Write; returns the bytes written, or -errno where there are none.

    SIGKILL is looked for before each page. A page of user memory that stays away after it was
    faulted in is tried again; only one that cannot be faulted in at all ends the write.
    """
    written, error = 0, 0
    while written < count and not error:
        restart(written)
        if fatal_signal_pending(current()):
            error = -EINTR
            break
        length = min(PAGE_SIZE, count - written)
        copied = write_page(file, mm, address + written, written, length)
        if not copied and fault_in_readable(mm, address + written, length) == length:
            error = -EFAULT
        written += copied
    return written or error


def write_page(file: File, mm: MmStruct, address: int, at: int, length: int) -> int:
    """Copy to one folio, from ``write_begin`` to ``write_end``; returns the bytes copied."""
    pfn = _cached(file, at)
    folio_lock(pfn)
    done = copy_from_user_inatomic(mm, address, length)
    for run in done.runs:
        assert run.value is not None
        frame(pfn).data.write(run.value)
        change_folio(pfn, dirty=True)
    folio_unlock(pfn)
    folio_put(pfn)
    return length - done.left


@kernel_function("mm/filemap.c", label="read from the page cache")
def filemap_read(file: File, mm: MmStruct, address: int, count: int) -> int:
    """Read; returns the bytes that have reached the user, or -EFAULT where there are none."""
    read = 0
    while read < count:
        restart(read)
        length = min(PAGE_SIZE, count - read)
        pfn = _cached(file, read)
        copied = copy_page_to_iter(mm, address + read, frame(pfn).data.read(), length)
        folio_put(pfn)
        read += copied
        if copied < length:
            return read or -EFAULT
    return read
