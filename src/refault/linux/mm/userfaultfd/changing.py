"""Keeping ``mmap_changing`` as it is while an ioctl works (``mm/userfaultfd.c``)."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.kernel.locking.rwsem import down_read, up_read
from refault.linux.modelled import kernel_function


@kernel_function("mm/userfaultfd.c", quiet=True)
def hold_mmap_changing(ctx: UserfaultfdCtx) -> None:
    """Let no event begin from here on."""
    down_read(ctx.map_changing_lock)


@kernel_function("mm/userfaultfd.c", quiet=True)
def release_mmap_changing(ctx: UserfaultfdCtx) -> None:
    """Let events begin again."""
    up_read(ctx.map_changing_lock)
