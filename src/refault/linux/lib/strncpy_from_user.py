"""Strings of the user (``lib/strncpy_from_user.c``)."""

from __future__ import annotations

from refault.linux.arch.mmu import WORD
from refault.linux.arch.mmu import copy_from_user as load_word
from refault.linux.arch.x86.lib.copy_user_64 import Move
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.modelled import kernel_function


@kernel_function("lib/strncpy_from_user.c", quiet=True)
def do_strncpy_from_user(mm: MmStruct, address: int, most: int) -> int:
    """Copy a string of at most so many bytes; its length, ``most`` if it is longer, or -EFAULT.

    It is read by words, and by bytes from a word on that cannot be read: a page that is refused is
    touched twice. A page holds one value, so a string ends where a page of zeroes begins.
    """
    done = 0
    for page, part in Move(mm, address, most).parts():
        value = load_word(mm, page)
        if value is None and part >= WORD:
            value = load_word(mm, page)
        if value is None:
            return -EFAULT
        if not value:
            return done
        done += part
    return done
