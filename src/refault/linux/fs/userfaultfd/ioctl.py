"""The ioctls that resolve faults (``fs/userfaultfd.c``).

Those that fill holes share a frame. While an event has not been read they answer ``-EAGAIN``;
then the arguments are read and looked at, and whether the process is still there (``-ESRCH``); and
at the end the result is written to the program's struct, and what was filled is woken, unless the
caller asked not to. **An error wakes nobody**, be it ``-EEXIST``, which says that the page is
there, or a result that could not be written.

They return what the program finds in the struct: the bytes filled, of which fewer than it asked
for are an ``-EAGAIN`` of the ioctl, or ``-errno``; ``-EFAULT`` also where nothing could be written.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import NamedTuple

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UffdFeature, UserfaultfdCtx
from refault.linux.fs.userfaultfd.wake import wake_userfault
from refault.linux.include.uapi.errno import EAGAIN, EFAULT, EINVAL, ESRCH, errno_name
from refault.linux.include.uapi.userfaultfd import (
    PAGE_SIZE,
    ContinueMode,
    CopyMode,
    MoveMode,
    PoisonMode,
    UffdRange,
    UserStruct,
    WriteprotectMode,
    ZeropageMode,
)
from refault.linux.kernel.fork import mmget_not_zero
from refault.linux.mm.userfaultfd.copy import Source
from refault.linux.mm.userfaultfd.mfill import (
    mfill_atomic_continue,
    mfill_atomic_copy,
    mfill_atomic_poison,
    mfill_atomic_zeropage,
)
from refault.linux.mm.userfaultfd.move import Move, move_pages
from refault.linux.mm.userfaultfd.wp import mwriteprotect_range
from refault.linux.modelled import current, kernel_function

TASK_SIZE = 0x7FFF_FFFF_F000
"""The end of user space on x86-64 with four levels of page tables."""


class Request(NamedTuple):
    """What the ioctls of this file are asked: a range, and where the struct is that says so."""

    dst: int
    length: int = PAGE_SIZE
    struct: UserStruct = UserStruct.WRITABLE

    @property
    def range(self) -> UffdRange:
        """The range."""
        return UffdRange(self.dst, self.length)


def is_initialized(ctx: UserfaultfdCtx) -> bool:
    """``userfaultfd_is_initialized()``: the handshake has been made."""
    return bool(ctx.features.read() & UffdFeature.INITIALIZED)


def validate_range(start: int, length: int) -> int:
    """Look whether a range is one of whole pages in user space; 0 or -EINVAL."""
    return -EINVAL if start % PAGE_SIZE else validate_unaligned_range(start, length)


def validate_unaligned_range(start: int, length: int) -> int:
    """The same of a range that may start anywhere, as the source of a copy may."""
    bad = length % PAGE_SIZE or length <= 0 or not 0 <= start < TASK_SIZE
    return -EINVAL if bad or length > TASK_SIZE - start else 0


def known_only(mode: IntFlag, *known: IntFlag) -> bool:
    """Tell whether a mode has no bits but those."""
    return not int(mode) & ~sum(map(int, known))


def valid_mode(mode: IntFlag, *known: IntFlag) -> int:
    """Look whether a mode has only bits that the ioctl knows; 0 or -EINVAL."""
    return 0 if known_only(mode, *known) else -EINVAL


def same_mm(ctx: UserfaultfdCtx) -> int:
    """Look whether the caller is of the process that the userfaultfd is for; 0 or -EINVAL.

    A thread of no process is taken to be, unless it is outside.
    """
    task = current()
    inside = not task.outside and (task.process is None or task.process.mm is ctx.mm)
    return 0 if inside else -EINVAL


def _fill(
    ctx: UserfaultfdCtx,
    ask: Request,
    dontwake: bool,
    validate: Callable[[], int],
    work: Callable[[], int],
) -> int:
    """The frame of those ioctls that fill."""
    if not is_initialized(ctx):
        return -EINVAL
    if ctx.mmap_changing.read():
        return say_mmap_changing(ask)
    if ask.struct is UserStruct.UNMAPPED:
        return -EFAULT
    err = validate_range(ask.dst, ask.length) or validate()
    if err:
        return err
    if not mmget_not_zero(ctx.mm):
        return -ESRCH
    filled = work()
    if ask.struct is not UserStruct.WRITABLE:
        return fail_put_user(ctx, ask, filled, dontwake)
    return wake_filled(ctx, ask.dst, filled, dontwake)


@kernel_function("fs/userfaultfd.c", quiet=True)
def say_mmap_changing(ask: Request) -> int:
    """Say -EAGAIN in the program's struct as well; -EFAULT if it cannot be written."""
    return -EAGAIN if ask.struct is UserStruct.WRITABLE else -EFAULT


@kernel_function("fs/userfaultfd.c", quiet=True)
def fail_put_user(ctx: UserfaultfdCtx, ask: Request, filled: int, dontwake: bool) -> int:
    """The program cannot be told what was done; nobody is woken, though pages may be there."""
    note("the result cannot be written: -EFAULT")
    return -EFAULT


@kernel_function("fs/userfaultfd.c", quiet=True)
def wake_filled(ctx: UserfaultfdCtx, dst: int, filled: int, dontwake: bool) -> int:
    """The epilogue: wake the waiters of what was filled; on an error wake nobody."""
    if filled < 0:
        note(errno_name(filled))
    elif not dontwake:
        wake_userfault(ctx, UffdRange(dst, filled))
    return filled


def _copy_label(
    ctx: UserfaultfdCtx, ask: Request, mode: CopyMode = CopyMode.NONE, source: object = None
) -> str:
    return f"UFFDIO_COPY({mode.name})" if mode else "UFFDIO_COPY"


@kernel_function("fs/userfaultfd.c", label=_copy_label)
def userfaultfd_copy(
    ctx: UserfaultfdCtx,
    ask: Request,
    mode: CopyMode = CopyMode.NONE,
    source: Source | None = None,
) -> int:
    """Fill holes with a copy; returns ``uffdio_copy.copy``: the bytes filled, or -errno."""
    return _fill(
        ctx,
        ask,
        bool(mode & CopyMode.DONTWAKE),
        lambda: (
            validate_unaligned_range(source.address if source else 0, ask.length)
            or valid_mode(mode, CopyMode.DONTWAKE, CopyMode.WP)
        ),
        lambda: mfill_atomic_copy(ctx, ask.dst, ask.length, mode, source),
    )


@kernel_function("fs/userfaultfd.c", label="UFFDIO_ZEROPAGE")
def userfaultfd_zeropage(
    ctx: UserfaultfdCtx, ask: Request, mode: ZeropageMode = ZeropageMode.NONE
) -> int:
    """Fill holes with the zero page; returns the bytes filled, or -errno."""
    return _fill(
        ctx,
        ask,
        bool(mode & ZeropageMode.DONTWAKE),
        lambda: valid_mode(mode, ZeropageMode.DONTWAKE),
        lambda: mfill_atomic_zeropage(ctx, ask.dst, ask.length),
    )


@kernel_function("fs/userfaultfd.c", label="UFFDIO_CONTINUE")
def userfaultfd_continue(
    ctx: UserfaultfdCtx, ask: Request, mode: ContinueMode = ContinueMode.NONE
) -> int:
    """Map what the file has; returns the bytes mapped, or -errno."""
    return _fill(
        ctx,
        ask,
        bool(mode & ContinueMode.DONTWAKE),
        lambda: valid_mode(mode, ContinueMode.DONTWAKE, ContinueMode.WP),
        lambda: mfill_atomic_continue(ctx, ask.dst, ask.length, mode),
    )


@kernel_function("fs/userfaultfd.c", label="UFFDIO_POISON")
def userfaultfd_poison(
    ctx: UserfaultfdCtx, ask: Request, mode: PoisonMode = PoisonMode.NONE
) -> int:
    """Let accesses fail; returns the bytes poisoned, or -errno."""
    return _fill(
        ctx,
        ask,
        bool(mode & PoisonMode.DONTWAKE),
        lambda: valid_mode(mode, PoisonMode.DONTWAKE),
        lambda: mfill_atomic_poison(ctx, ask.dst, ask.length),
    )


@kernel_function("fs/userfaultfd.c", label="UFFDIO_MOVE")
def userfaultfd_move(
    ctx: UserfaultfdCtx, ask: Request, src: int, mode: MoveMode = MoveMode.NONE
) -> int:
    """Fill holes with pages from elsewhere in the process; returns the bytes moved, or -errno.

    Only a thread of that process may do so.
    """
    return _fill(
        ctx,
        ask,
        bool(mode & MoveMode.DONTWAKE),
        lambda: (
            same_mm(ctx)
            or validate_range(src, ask.length)
            or valid_mode(mode, MoveMode.DONTWAKE, MoveMode.ALLOW_SRC_HOLES)
        ),
        lambda: move_pages(ctx, Move(ask.dst, src, ask.length, mode)),
    )


def _wp_label(ctx: UserfaultfdCtx, ask: Request, mode: WriteprotectMode) -> str:
    return f"UFFDIO_WRITEPROTECT({'protect' if mode & WriteprotectMode.WP else 'unprotect'})"


@kernel_function("fs/userfaultfd.c", label=_wp_label)
def userfaultfd_writeprotect(ctx: UserfaultfdCtx, ask: Request, mode: WriteprotectMode) -> int:
    """Protect or unprotect pages; unprotecting wakes, unless the caller asked not to.

    Returns 0 or -errno; an error wakes nobody, though some of the range may be done.
    """
    if not is_initialized(ctx):
        return -EINVAL
    if ctx.mmap_changing.read():
        return -EAGAIN
    if ask.struct is UserStruct.UNMAPPED:
        return -EFAULT
    protect = bool(mode & WriteprotectMode.WP)
    bad = valid_mode(mode, WriteprotectMode.WP, WriteprotectMode.DONTWAKE)
    bad = bad or validate_range(ask.dst, ask.length)
    if bad or (protect and mode & WriteprotectMode.DONTWAKE):
        return -EINVAL
    if not mmget_not_zero(ctx.mm):
        return -ESRCH
    dontwake = bool(mode & WriteprotectMode.DONTWAKE)
    ret = mwriteprotect_range(ctx, ask.dst, ask.length, protect)
    if ret:
        note(errno_name(ret))
        fail_writeprotect(ctx, ask, protect, dontwake)
    elif not protect and not dontwake:
        wake_userfault(ctx, ask.range)
    return ret


@kernel_function("fs/userfaultfd.c", quiet=True)
def fail_writeprotect(ctx: UserfaultfdCtx, ask: Request, protect: bool, dontwake: bool) -> None:
    """Some of the range may have been unprotected before the error; nobody is woken."""


@kernel_function("fs/userfaultfd.c", label="UFFDIO_WAKE")
def userfaultfd_wake(ctx: UserfaultfdCtx, ask: Request) -> int:
    """Wake the waiters of a range; returns 0 or -errno."""
    if not is_initialized(ctx):
        return -EINVAL
    if ask.struct is UserStruct.UNMAPPED:
        return -EFAULT
    err = validate_range(ask.dst, ask.length)
    if not err:
        wake_userfault(ctx, ask.range)
    return err
