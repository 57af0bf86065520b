"""userfaultfd: what its end leaves behind."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.linux.mm.userfaultfd.armed import all_vmas, userfaultfd_reset_ctx
from refault.linux.modelled import current_kernel
from refault.patches.patch import Patch


def _release_unless_dumping(ctx: UserfaultfdCtx) -> None:
    """``mmget_still_valid()`` is false of a process that is dumping core."""
    dumping = any(p.mm is ctx.mm and p.shared.read().core for p in current_kernel().processes)
    if not dumping:
        _release_and_leave_protected(ctx)


release_while_dumping = Patch(
    name="release_while_dumping",
    title="userfaultfd_release: always remove uffd flags and clear vm_userfaultfd_ctx",
    kind="fix",
    commit="46d0b24c5ee1",
    since="5.3",
    source="Oleg Nesterov, 2019; the bug came with 5.1 and its stable releases",
    replaces={"userfaultfd_release_all": _release_unless_dumping},
    over=("close_unprotects",),
)


def _release_and_leave_protected(ctx: UserfaultfdCtx) -> None:
    mmap_write_lock(ctx.mm)
    for vma in all_vmas(ctx.mm):
        if vma.ctx is ctx:
            userfaultfd_reset_ctx(vma)
    mmap_write_unlock(ctx.mm)


close_unprotects = Patch(
    name="close_unprotects",
    title="mm/userfaultfd: reset ptes when close() for wr-protected ones",
    kind="fix",
    commit="c88033efe9a3",
    since="6.9",
    source="Peter Xu, 2024",
    replaces={"userfaultfd_release_all": _release_and_leave_protected},
    stable={"6.1": "6.1.191", "6.6": "6.6.31", "6.8": "6.8.10"},
)


def _leave_them(ctx: UserfaultfdCtx) -> None:
    return None


fork_abort_clears_ctx = Patch(
    name="fork_abort_clears_ctx",
    title="userfaultfd: clear the vma->vm_userfaultfd_ctx if UFFD_EVENT_FORK fails",
    kind="fix",
    commit="0cbb4b4f4c44",
    since="4.15",
    source="Andrea Arcangeli, 2018",
    replaces={"userfaultfd_release_new": _leave_them},
)
