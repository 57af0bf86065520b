"""MMU notifiers as they were."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.mmu_notifier import (
    MmuNotifierRange,
    NotifierSubscriptions,
)
from refault.linux.kernel.rcu.srcutree import srcu_read_lock, srcu_read_unlock, synchronize_srcu
from refault.linux.mm.exit_mmap import free_all, unmap_all
from refault.linux.mm.mmu_interval import seq_has_changed
from refault.linux.mm.mmu_notifier import hashed, unhash
from refault.patches.patch import Patch


def _not_told(subscriptions: NotifierSubscriptions, range: MmuNotifierRange) -> None:
    return None


notifier_range_pairing = Patch(
    name="notifier_range_pairing",
    title="mm/mmu_notifiers: ensure range_end() is paired with range_start()",
    kind="fix",
    commit="c2655835fd8c",
    since="5.12",
    stable={"5.10": "5.10.27"},
    source="Sean Christopherson, 2021",
    replaces={"mn_hlist_invalidate_failed": _not_told},
)


def _released_unlocked(subscriptions: NotifierSubscriptions) -> bool:
    return seq_has_changed(subscriptions)


interval_remove_locked = Patch(
    name="interval_remove_locked",
    title="mm/mmu_notifier.c: fix race in mmu_interval_notifier_remove()",
    kind="fix",
    commit="319561669a59",
    since="5.18",
    stable={"5.17": "5.17.5"},
    source="Alistair Popple, 2022",
    replaces={"mmu_interval_seq_released": _released_unlocked},
)


def _unhash_first(subscriptions: NotifierSubscriptions) -> None:
    """Take all off the list, and only then release them."""
    srcu_read_lock(subscriptions.srcu)
    listed = [n for n in subscriptions.notifiers if hashed(n)]
    unhash(subscriptions, subscriptions.notifiers)
    for notifier in listed:
        if notifier.ops.release is not None:
            notifier.ops.release()
    srcu_read_unlock(subscriptions.srcu)
    synchronize_srcu(subscriptions.srcu)


release_before_unhash = Patch(
    name="release_before_unhash",
    title="mm: mmu_notifier: re-fix freed page still mapped in secondary MMU",
    kind="fix",
    commit="d34883d4e35c",
    since="3.10",
    source="Xiao Guangrong, 2013; the same as 3ad3d901bbcf of 3.6, which 751efd8610d3 had undone",
    replaces={"mn_hlist_release": _unhash_first},
)


def _unmap_unlocked(mm: MmStruct) -> None:
    unmap_all(mm)


def _free_unlocked(mm: MmStruct) -> None:
    free_all(mm)


exit_mmap_locked = Patch(
    name="exit_mmap_locked",
    title="mm: protect free_pgtables with mmap_lock write lock in exit_mmap",
    kind="fix",
    commit="64591e8605d6",
    since="5.17",
    source="Suren Baghdasaryan, 2022; before it exit_mmap() took no lock unless the OOM reaper was"
    " at it",
    replaces={"exit_unmap_vmas": _unmap_unlocked, "exit_free_pgtables": _free_unlocked},
)
