"""userfaultfd: what the monitor is told of changes to the address space."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx, userfaultfd_ctx_put
from refault.linux.fs.userfaultfd.events import mmap_changing_end
from refault.patches.patch import Patch


def _lower_on_failure(ctx: UserfaultfdCtx | None) -> None:
    if ctx is not None:
        mmap_changing_end(ctx)
        userfaultfd_ctx_put(ctx)


mremap_fail_dec = Patch(
    name="mremap_fail_dec",
    title="userfaultfd: ensure mremap_userfaultfd_fail() releases mmap_changing",
    kind="later fix",
    commit="0496a59745b0",
    since="7.2",
    source="Mike Rapoport, 2026",
    replaces={"mremap_userfaultfd_fail": _lower_on_failure},
)
