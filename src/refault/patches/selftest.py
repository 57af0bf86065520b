"""The userfaultfd selftest, as it was."""

from __future__ import annotations

from refault.explore import Violation
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import Request, userfaultfd_copy
from refault.linux.include.uapi.errno import EEXIST
from refault.linux.include.uapi.userfaultfd import CopyMode
from refault.patches.patch import Patch


def _copy_and_ignore_eexist(ctx: UserfaultfdCtx, dst: int, wp: bool) -> bool:
    copied = userfaultfd_copy(ctx, Request(dst), CopyMode.WP if wp else CopyMode.NONE)
    if copied <= 0 and copied != -EEXIST:
        raise Violation("test failed", f"UFFDIO_COPY error: {copied}")
    return copied > 0


selftest_wake_on_eexist = Patch(
    name="selftest_wake_on_eexist",
    title="selftests/vm/userfaultfd: wake after copy failure",
    kind="fix",
    commit="4410cbb5c9f9",
    since="5.15",
    source="Nadav Amit, LKML 2020-11-28 and 2021-08-07",
    replaces={"__copy_page": _copy_and_ignore_eexist},
)
