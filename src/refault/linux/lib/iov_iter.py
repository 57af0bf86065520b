"""Copies between the kernel and the buffer of a ``read(2)`` or ``write(2)`` (``lib/iov_iter.c``).

All of them handle faults and return how many bytes they have moved. Those that are given a page of
the kernel go on after a copy that fell short, until nothing at all moves: a page that is refused
is touched once more than by the others.
"""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.lib.usercopy import _copy_to_user as copy_to_user
from refault.linux.lib.usercopy import raw_copy_from_user
from refault.linux.modelled import kernel_function


def span(start: int, length: int) -> int:
    """How many pages so many bytes lie in."""
    return (start % PAGE_SIZE + length + PAGE_SIZE - 1) // PAGE_SIZE


def reach(pages: int, start: int, length: int) -> int:
    """How many of these bytes lie in the first pages."""
    return max(0, min(length, pages * PAGE_SIZE - start % PAGE_SIZE))


@kernel_function("lib/iov_iter.c", quiet=True)
def _copy_from_iter(mm: MmStruct, address: int, length: int) -> int:
    """Copy from the user, once."""
    return length - raw_copy_from_user(mm, address, length).left


@kernel_function("lib/iov_iter.c", quiet=True)
def _copy_to_iter(mm: MmStruct, address: int, value: int, length: int) -> int:
    """Copy to the user, once."""
    return length - copy_to_user(mm, address, value, length)


@kernel_function("lib/iov_iter.c", quiet=True)
def copy_page_from_iter(mm: MmStruct, address: int, length: int) -> int:
    """Fill a page of the kernel."""
    moved, done = 1, 0
    while moved and done < length:
        moved = _copy_from_iter(mm, address + done, length - done)
        done += moved
    return done


@kernel_function("lib/iov_iter.c", quiet=True)
def copy_page_to_iter(mm: MmStruct, address: int, value: int, length: int) -> int:
    """Copy a page of the kernel, which holds one value, to the user."""
    moved, done = 1, 0
    while moved and done < length:
        moved = _copy_to_iter(mm, address + done, value, length - done)
        done += moved
    return done
