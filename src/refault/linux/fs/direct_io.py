"""Those who hand user pages to a device or a pipe (``lib/iov_iter.c``, ``fs/splice.c``).

Each asks GUP for pages and maps its answer to what the system call returns; a short count of pages
becomes a short count of bytes, and an error is told only if there is nothing else to tell.
"""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import frame
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.mm.gup.fast import get_user_pages_fast, pin_user_pages_fast
from refault.linux.mm.gup.pages import put_page, unpin_user_page
from refault.linux.mm.process_vm_access import Copied, contents
from refault.linux.modelled import kernel_function


@kernel_function("lib/iov_iter.c", quiet=True)
def iov_iter_extract_pages(mm: MmStruct, start: int, pages: int, foll: Foll) -> Copied:
    """Pin user pages for I/O; returns the count and the frames in place of data, or -errno."""
    found = pin_user_pages_fast(mm, start, pages, foll)
    return Copied(found.ret if found.ret else -EFAULT, found.pfns)


@kernel_function("fs/direct-io.c", label="O_DIRECT read")
def dio_read(mm: MmStruct, start: int, pages: int, value: int) -> int:
    """``read(2)`` with ``O_DIRECT``: the device writes ``value`` to each page; pages or -errno."""
    pinned = iov_iter_extract_pages(mm, start, pages, Foll.WRITE)
    for pfn in pinned.data:
        frame(pfn).data.write(value)
        unpin_user_page(pfn)
    return pinned.ret


@kernel_function("fs/direct-io.c", label="O_DIRECT write")
def dio_write(mm: MmStruct, start: int, pages: int) -> Copied:
    """``write(2)`` with ``O_DIRECT``: the device reads each page; pages or -errno, and the data."""
    pinned = iov_iter_extract_pages(mm, start, pages, Foll.NONE)
    data = tuple(contents(pfn) for pfn in pinned.data)
    for pfn in pinned.data:
        unpin_user_page(pfn)
    return Copied(pinned.ret, data)


@kernel_function("fs/splice.c", label="vmsplice")
def vmsplice_to_pipe(mm: MmStruct, start: int, pages: int) -> Copied:
    """``vmsplice(2)``: the pipe has the pages; the count or -errno, and the frames.

    It takes references and no pins, so the pages stay readable whatever becomes of the mapping.
    """
    found = get_user_pages_fast(mm, start, pages, Foll.NONE)
    return Copied(found.ret if found.ret else -EFAULT, found.pfns)


@kernel_function("fs/splice.c", label="read of the pipe")
def pipe_read(pfn: int) -> int:
    """Read a page that ``vmsplice()`` put into a pipe, and drop it."""
    value = contents(pfn)
    put_page(pfn)
    return value
