"""``read(2)`` of ``/proc/PID/mem`` (``fs/proc/base.c``)."""

from __future__ import annotations

from refault.explore import restart
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EIO
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.lib.iov_iter import reach, span
from refault.linux.mm.process_vm_access import access_remote_vm
from refault.linux.modelled import kernel_function


@kernel_function("fs/proc/base.c", label="read(/proc/PID/mem)")
def mem_rw(mm: MmStruct, start: int, length: int) -> int:
    """Read so many bytes into a buffer that is there; the bytes, or -EIO where there are none."""
    done = 0
    while done < length:
        restart(done)
        at, part = start + done, min(PAGE_SIZE, length - done)
        got = access_remote_vm(mm, at - at % PAGE_SIZE, span(at, part))
        moved = reach(got.ret, at, part)
        if not moved:
            break
        done += moved
    return done or -EIO
