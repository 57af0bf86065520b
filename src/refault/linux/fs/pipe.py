"""Writing to a pipe (``fs/pipe.c``), as far as it is a copy from user memory.

The pipe has room for whatever is written, and what is in it does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.kernel.sched.wait import WaitQueueHead, __wake_up_sync_key
from refault.linux.lib.usercopy import raw_copy_from_user
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Program


class Pipe:
    """``struct pipe_inode_info``: who waits for something to read."""

    def __init__(self, program: Program, name: str = "pipe") -> None:
        self.rd_wait = WaitQueueHead(program, f"{name}.rd_wait")


@kernel_function("fs/pipe.c", label="write(pipe)")
def pipe_write(pipe: Pipe, mm: MmStruct, address: int, length: int) -> int:
    """Copy from the user, and wake who reads even if nothing came; ``length``, or -EFAULT.

    A page that was copied in part is dropped, and the loop begins anew with the next write.
    """
    left = raw_copy_from_user(mm, address, length).left
    __wake_up_sync_key(pipe.rd_wait)
    return -EFAULT if left else length
