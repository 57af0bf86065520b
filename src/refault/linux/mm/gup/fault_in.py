"""Faulting user memory in before a copy that must not fault (``mm/gup.c``).

Each touches one byte a page and returns how many bytes could not be reached. They promise nothing:
the page may be gone again when it is copied.
"""

from __future__ import annotations

from refault.linux.arch.mmu import copy_from_user as load_word
from refault.linux.arch.mmu import copy_to_user as store_word
from refault.linux.arch.x86.lib.copy_user_64 import Move
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.modelled import kernel_function


@kernel_function("mm/gup.c", label="fault_in_readable")
def fault_in_readable(mm: MmStruct, address: int, length: int) -> int:
    """Read from each page."""
    left = length
    for page, part in Move(mm, address, length).parts():
        if load_word(mm, page) is None:
            break
        left -= part
    return left


@kernel_function("mm/gup.c", label="fault_in_writeable")
def fault_in_writeable(mm: MmStruct, address: int, length: int) -> int:
    """Write a zero to each page: what was there is lost."""
    left = length
    for page, part in Move(mm, address, length).parts():
        if store_word(mm, page, 0):
            break
        left -= part
    return left
