"""userfaultfd: what its end leaves behind."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.modelled import current_kernel, modelled_function
from refault.patches.patch import Patch


def _release_unless_dumping(ctx: UserfaultfdCtx) -> None:
    """``mmget_still_valid()`` is false of a process that is dumping core."""
    dumping = any(p.mm is ctx.mm and p.shared.read().core for p in current_kernel().processes)
    base = modelled_function("userfaultfd_release_all")
    assert base is not None
    if not dumping:
        base.function(ctx)


release_while_dumping = Patch(
    name="release_while_dumping",
    title="userfaultfd_release: always remove uffd flags and clear vm_userfaultfd_ctx",
    kind="fix",
    commit="46d0b24c5ee1",
    since="5.3",
    source="Oleg Nesterov, 2019",
    replaces={"userfaultfd_release_all": _release_unless_dumping},
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
