"""The monitor of the userfaultfd selftest (``tools/testing/selftests/mm/uffd-common.c``).

It reads a message, fills a missing page or unprotects a protected one, and reads on for ever.
Where filling fails because the page is there already, it wakes the range by hand: since 5.15, for
before that a task could be left asleep.
"""

from __future__ import annotations

from refault.explore import Violation, restart
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import (
    Request,
    userfaultfd_copy,
    userfaultfd_wake,
    userfaultfd_writeprotect,
)
from refault.linux.fs.userfaultfd.read import userfaultfd_read_iter
from refault.linux.include.uapi.errno import EEXIST
from refault.linux.include.uapi.userfaultfd import (
    CopyMode,
    PagefaultFlag,
    UffdMsg,
    WriteprotectMode,
)
from refault.linux.modelled import kernel_function

UFFD_COMMON = "tools/testing/selftests/mm/uffd-common.c"


@kernel_function("tools/testing/selftests/mm/uffd-stress.c", quiet=True)
def uffd_read_thread(ctx: UserfaultfdCtx, apply_wp: bool = False) -> None:
    """Serve faults for ever."""
    while True:
        restart()
        found = userfaultfd_read_iter(ctx, 1)
        if not isinstance(found, int):
            uffd_handle_page_fault(ctx, found[0], apply_wp)


@kernel_function(UFFD_COMMON, quiet=True)
def uffd_handle_page_fault(ctx: UserfaultfdCtx, msg: UffdMsg, apply_wp: bool) -> None:
    """Resolve one fault."""
    if msg.flags & PagefaultFlag.WP:
        wp_range(ctx, msg.address, False)
    else:
        copy_page(ctx, msg.address, apply_wp)


@kernel_function(UFFD_COMMON, quiet=True)
def wp_range(ctx: UserfaultfdCtx, start: int, wp: bool) -> None:
    """Protect or unprotect a page; must succeed."""
    mode = WriteprotectMode.WP if wp else WriteprotectMode.NONE
    ret = userfaultfd_writeprotect(ctx, Request(start), mode)
    if ret:
        raise Violation("test failed", f"clear WP failed: {ret}")


@kernel_function(UFFD_COMMON, quiet=True)
def copy_page(ctx: UserfaultfdCtx, dst: int, wp: bool) -> bool:
    """Fill a page; tell whether this call did."""
    return __copy_page(ctx, dst, wp)


@kernel_function(UFFD_COMMON, quiet=True)
def __copy_page(ctx: UserfaultfdCtx, dst: int, wp: bool) -> bool:
    """Fill a page; a page that is there already is woken by hand."""
    copied = userfaultfd_copy(ctx, Request(dst), CopyMode.WP if wp else CopyMode.NONE)
    if copied > 0:
        return True
    if copied != -EEXIST:
        raise Violation("test failed", f"UFFDIO_COPY error: {copied}")
    wake_range(ctx, dst)
    return False


@kernel_function(UFFD_COMMON, quiet=True)
def wake_range(ctx: UserfaultfdCtx, start: int) -> None:
    """Wake whoever waits for a page that is there."""
    userfaultfd_wake(ctx, Request(start))
