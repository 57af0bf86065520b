"""``uname(2)`` (``kernel/sys.c``)."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.lib.usercopy import _copy_to_user as copy_to_user
from refault.linux.modelled import kernel_function

NEW_UTSNAME = 390
"""Bytes of ``struct new_utsname``."""

NAME = 6


@kernel_function("kernel/sys.c", label="uname()")
def newuname(mm: MmStruct, address: int) -> int:
    """Tell the system's name, which was copied aside under its lock; 0 or -EFAULT."""
    return -EFAULT if copy_to_user(mm, address, NAME, NEW_UTSNAME) else 0
