"""``O_DIRECT`` on ext4, XFS and their like (``fs/iomap/direct-io.c``).

Where a part of the buffer cannot be had, what was already on its way is done, and the call fails
all the same. Only file systems that ask for it are told how far it came.
"""

from __future__ import annotations

from refault.explore import restart
from refault.linux.fs.direct_io import iov_iter_extract_pages
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import frame
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.lib.iov_iter import reach, span
from refault.linux.mm.gup.pages import unpin_user_page
from refault.linux.modelled import kernel_function


@kernel_function("fs/iomap/direct-io.c", label="O_DIRECT")
def iomap_dio_rw(mm: MmStruct, start: int, length: int, value: int | None) -> int:
    """Read: the device writes ``value`` to the buffer; or write, if that is None. Bytes or -errno.

    ``length`` is a multiple of the device's block.
    """
    done = 0
    while done < length:
        restart(done)
        at, left = start + done, length - done
        foll = Foll.NONE if value is None else Foll.WRITE
        pinned = iov_iter_extract_pages(mm, at - at % PAGE_SIZE, span(at, left), foll)
        for pfn in pinned.data:
            if value is not None:
                frame(pfn).data.write(value)
            unpin_user_page(pfn)
        if pinned.ret < 0:
            return pinned.ret
        done += reach(pinned.ret, at, left)
    return done
