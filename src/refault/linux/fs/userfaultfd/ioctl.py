"""The ioctls that resolve faults (``fs/userfaultfd.c``).

Those that fill holes share an epilogue: an error is returned *without waking anybody*; else the
filled range is woken, unless the caller asked not to. ``-EEXIST`` is such an error, though it says
that the page is there.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.wake import wake_userfault
from refault.linux.include.uapi.errno import EAGAIN, EINVAL
from refault.linux.include.uapi.userfaultfd import (
    PAGE_SIZE,
    CopyMode,
    UffdRange,
    WriteprotectMode,
    ZeropageMode,
)
from refault.linux.mm.userfaultfd import (
    mfill_atomic_copy,
    mfill_atomic_zeropage,
    mwriteprotect_range,
)
from refault.linux.modelled import kernel_function


@kernel_function("fs/userfaultfd.c", quiet=True)
def wake_filled(ctx: UserfaultfdCtx, dst: int, filled: int, dontwake: bool) -> int:
    """The epilogue: wake the waiters of what was filled; on an error wake nobody."""
    if filled < 0:
        note(f"-{_NAMES.get(-filled, -filled)}")
    elif not dontwake:
        wake_userfault(ctx, UffdRange(dst, filled))
    return filled


_NAMES = {EAGAIN: "EAGAIN", 17: "EEXIST", EINVAL: "EINVAL", 2: "ENOENT"}


def _copy_label(ctx: UserfaultfdCtx, dst: int, mode: CopyMode) -> str:
    return f"UFFDIO_COPY({mode.name})" if mode else "UFFDIO_COPY"


@kernel_function("fs/userfaultfd.c", label=_copy_label)
def userfaultfd_copy(ctx: UserfaultfdCtx, dst: int, mode: CopyMode) -> int:
    """Fill a hole with a copy; returns ``uffdio_copy.copy``: the bytes filled, or -errno."""
    if ctx.mmap_changing.read():
        return -EAGAIN
    copied = mfill_atomic_copy(ctx, dst, mode)
    return wake_filled(ctx, dst, copied, bool(mode & CopyMode.DONTWAKE))


@kernel_function("fs/userfaultfd.c", label="UFFDIO_ZEROPAGE")
def userfaultfd_zeropage(ctx: UserfaultfdCtx, dst: int, mode: ZeropageMode) -> int:
    """Fill a hole with the zero page; returns the bytes filled, or -errno."""
    if ctx.mmap_changing.read():
        return -EAGAIN
    filled = mfill_atomic_zeropage(ctx, dst)
    return wake_filled(ctx, dst, filled, bool(mode & ZeropageMode.DONTWAKE))


def _wp_label(ctx: UserfaultfdCtx, start: int, mode: WriteprotectMode) -> str:
    return f"UFFDIO_WRITEPROTECT({'protect' if mode & WriteprotectMode.WP else 'unprotect'})"


@kernel_function("fs/userfaultfd.c", label=_wp_label)
def userfaultfd_writeprotect(ctx: UserfaultfdCtx, start: int, mode: WriteprotectMode) -> int:
    """Protect or unprotect a page; unprotecting wakes, unless the caller asked not to."""
    if ctx.mmap_changing.read():
        return -EAGAIN
    protect = bool(mode & WriteprotectMode.WP)
    if protect and mode & WriteprotectMode.DONTWAKE:
        return -EINVAL
    ret = mwriteprotect_range(ctx, start, protect)
    if ret:
        return ret
    if not protect and not mode & WriteprotectMode.DONTWAKE:
        wake_userfault(ctx, UffdRange(start, PAGE_SIZE))
    return 0


@kernel_function("fs/userfaultfd.c", label="UFFDIO_WAKE")
def userfaultfd_wake(ctx: UserfaultfdCtx, start: int) -> int:
    """Wake the waiters of a page."""
    wake_userfault(ctx, UffdRange(start, PAGE_SIZE))
    return 0
