"""``copy_from_user()`` and ``copy_to_user()`` of more than a word (``lib/usercopy.c``).

Both return how many bytes were not copied. What becomes of that is up to the system call: -EFAULT,
or a short count where something was copied; neither is ever restarted.
"""

from __future__ import annotations

from refault.linux.arch.x86.lib.copy_user_64 import (
    Move,
    Run,
    UserCopy,
    copy_loop,
    copy_user_generic,
)
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.uaccess import no_page_faults
from refault.linux.modelled import current_kernel, kernel_function


def raw_copy(move: Move) -> UserCopy:
    """Copy as the architecture does: x86 in its own ways, all others in one loop."""
    return copy_user_generic(move) if current_kernel().arch == "x86" else copy_loop(move)


@kernel_function("include/linux/uaccess.h", label="copy_from_user")
def raw_copy_from_user(mm: MmStruct, address: int, length: int) -> UserCopy:
    """Fill a buffer of the kernel; what could not be read is left as it was."""
    done = raw_copy(Move(mm, address, length))
    return _tail(done, None)


@kernel_function("lib/usercopy.c", label="copy_from_user")
def _copy_from_user(mm: MmStruct, address: int, length: int) -> UserCopy:
    """Fill a buffer of the kernel, with zeroes from where it cannot be read on."""
    done = raw_copy(Move(mm, address, length))
    return _tail(done, 0)


def _tail(done: UserCopy, value: int | None) -> UserCopy:
    return done._replace(runs=(*done.runs, Run(value, done.left))) if done.left else done


@kernel_function("lib/usercopy.c", label="copy_to_user")
def _copy_to_user(mm: MmStruct, address: int, value: int, length: int) -> int:
    """Copy a buffer of the kernel, which holds one value, to the user; the bytes not copied."""
    return raw_copy(Move(mm, address, length, value)).left


@kernel_function("include/linux/uaccess.h", label="copy_from_user_inatomic")
def __copy_from_user_inatomic(mm: MmStruct, address: int, length: int) -> UserCopy:
    """Copy without handling faults: to the first page that is not there."""
    with no_page_faults():
        return raw_copy(Move(mm, address, length))
