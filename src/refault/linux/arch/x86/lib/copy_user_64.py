"""Copies between the kernel and user memory (``arch/x86/lib/copy_user_64.S``).

A copy is a loop of moves. Each of them may fault, and where the fault is not resolved the exception
table sends it somewhere: out of the copy, with the number of bytes that are left, or into a second
loop that moves single bytes, begins at the word that failed, and so touches the same page again.
Which of the two depends on the processor and on the length.

What of a copy lies in one page is one access here, and a page holds one value: a page that goes
away between two bytes of it is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from refault.linux.arch.mmu import copy_from_user as load_word
from refault.linux.arch.mmu import copy_to_user as store_word
from refault.linux.arch.x86.include.asm.cpufeatures import X86Feature
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.modelled import current_kernel, kernel_function


class Run(NamedTuple):
    """Bytes of a buffer of the kernel, and what they hold; None is what was there before."""

    value: int | None
    length: int


class UserCopy(NamedTuple):
    """What a copy comes to: the bytes not copied, and what it has moved."""

    left: int
    runs: tuple[Run, ...] = ()


class Move(NamedTuple):
    """A copy to be made: ``length`` bytes from ``address``, or to it if there is a ``value``."""

    mm: MmStruct
    address: int
    length: int
    value: int | None = None

    def parts(self) -> Iterator[tuple[int, int]]:
        """Each page that it touches, and how many bytes of it."""
        at, end = self.address, self.address + self.length
        while at < end:
            page = at - at % PAGE_SIZE
            upto = min(end, page + PAGE_SIZE)
            yield page, upto - at
            at = upto

    def rest(self, done: UserCopy) -> Move:
        """What is left of it."""
        return self._replace(address=self.address + self.length - done.left, length=done.left)

    def one(self, page: int) -> int | None:
        """Move what lies in one page; None where that is fixed up."""
        if self.value is None:
            return load_word(self.mm, page)
        return None if store_word(self.mm, page, self.value) else self.value


@kernel_function("arch/x86/lib/copy_user_64.S", quiet=True)
def copy_loop(move: Move) -> UserCopy:
    """One loop of moves, to its end or to the first that is fixed up."""
    left, runs = move.length, []
    for page, length in move.parts():
        value = move.one(page)
        if value is None:
            break
        left -= length
        runs.append(Run(value, length))
    return UserCopy(left, tuple(runs))


def then(move: Move, done: UserCopy) -> UserCopy:
    """Go on by bytes from where a loop has ended early."""
    more = copy_loop(move.rest(done))
    return UserCopy(more.left, (*done.runs, *more.runs))


@kernel_function("arch/x86/lib/copy_user_64.S", quiet=True)
def rep_movs_alternative(move: Move) -> UserCopy:
    """Copy without FSRM: by words and then bytes, or from 64 bytes on as the processor likes it.

    Where words fail the bytes are tried, and that the page is not there is found a second time.
    """
    done = copy_loop(move)
    by_bytes = move.length < 8
    long = move.length >= 64
    if not done.left or by_bytes or (long and current_kernel().cpu_features & X86Feature.ERMS):
        return done
    return then(move, done)


@kernel_function("arch/x86/include/asm/uaccess_64.h", quiet=True)
def copy_user_generic(move: Move) -> UserCopy:
    """Copy: in one instruction, where the processor is good at that for any length."""
    if current_kernel().cpu_features & X86Feature.FSRM:
        return copy_loop(move)
    return rep_movs_alternative(move)


@kernel_function("arch/x86/lib/usercopy_64.c", quiet=True)
def copy_user_handle_tail(move: Move, done: UserCopy) -> UserCopy:
    """Copy what is left byte by byte, as every copy did before 6.4 that had failed."""
    return then(move, done)
