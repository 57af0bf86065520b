"""How HMM's mirrors were released, or were to be, and what devices did without."""

from __future__ import annotations

from refault.explore import restart
from refault.linux.include.linux.hmm import Hmm, HmmMirror
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.mmu_notifier import MmuIntervalNotifier, MmuNotifierRange
from refault.linux.kernel.locking.rwsem import down_write, up_write
from refault.linux.lib.test_hmm import Dmirror, dmirror_device_evict_chunk
from refault.linux.mm.hmm_mirror import hmm_invalidate_range, release_mirror
from refault.linux.mm.memory.device_private import pgmap_of
from refault.linux.mm.mmap_lock import vma_end_read
from refault.linux.mm.mmu_interval import mmu_interval_notifier_remove
from refault.patches.patch import Patch

THREAD = "LKML 2018-03, [PATCH 03/15] mm/hmm: HMM should have a callback before MM is destroyed v2"


def _take(hmm: Hmm) -> list[HmmMirror]:
    """Take all mirrors off the list, which the caller has locked for writing."""
    taken = [mirror for mirror in hmm.mirrors if mirror.listed.read()]
    for mirror in taken:
        mirror.listed.write(False)
    return taken


def _release_locked(hmm: Hmm) -> None:
    """Release each with the list locked for writing."""
    down_write(hmm.mirrors_sem)
    for mirror in _take(hmm):
        release_mirror(mirror)
    up_write(hmm.mirrors_sem)


def _release_one_by_one(hmm: Hmm) -> None:
    """Take the first off the list, drop the lock, release it, and look again."""
    while True:
        restart()
        down_write(hmm.mirrors_sem)
        first = next((mirror for mirror in hmm.mirrors if mirror.listed.read()), None)
        if first is not None:
            first.listed.write(False)
        up_write(hmm.mirrors_sem)
        if first is None:
            break
        release_mirror(first)


def _release_spliced(hmm: Hmm) -> None:
    """Take them all off the list, drop the lock, release them, until there are none left."""
    while True:
        restart()
        down_write(hmm.mirrors_sem)
        taken = _take(hmm)
        up_write(hmm.mirrors_sem)
        if not taken:
            break
        for mirror in taken:
            release_mirror(mirror)


def _no_release(hmm: Hmm) -> None:
    return None


hmm_release_read = Patch(
    name="hmm_release_read",
    title="mm/hmm: Remove confusing comment and logic from hmm_release",
    kind="fix",
    since="5.3",
    commit="14331726a3c4",
    source="Jason Gunthorpe, 2019; before it one mirror after the other, without the lock",
    replaces={"hmm_release": _release_one_by_one},
)

hmm_release_v2 = Patch(
    name="hmm_release_v2",
    title="mm/hmm: HMM should have a callback before MM is destroyed v2",
    kind="proposal",
    source=f"{THREAD}, Ralph Campbell and Jerome Glisse",
    replaces={"hmm_release": _release_locked},
    over=("hmm_release_read",),
)

hmm_release_splice = Patch(
    name="hmm_release_splice",
    title="mm/hmm: release mirrors from a list of one's own",
    kind="proposal",
    source=f"{THREAD}, Re: John Hubbard, 2018-03-21",
    replaces={"hmm_release": _release_spliced},
    over=("hmm_release_read",),
)

hmm_release_callback = Patch(
    name="hmm_release_callback",
    title="mm/hmm: HMM should have a callback before MM is destroyed",
    kind="fix",
    commit="e1401513c60d",
    since="4.17",
    source="Ralph Campbell, 2018; before it drivers were not told of the end of a process",
    replaces={"hmm_release": _no_release},
    over=("hmm_release_read",),
)


def _nothing_yet(hmm: Hmm, range: MmuNotifierRange) -> int:
    return 0


def _afterwards(hmm: Hmm, range: MmuNotifierRange) -> None:
    hmm_invalidate_range(hmm, range)


hmm_invalidate_start = Patch(
    name="hmm_invalidate_start",
    title="mm/hmm: invalidate device page table at start of invalidation",
    kind="fix",
    commit="ec131b2d7fa6",
    since="4.20",
    source="Jerome Glisse, 2018; before it devices were told when the range had changed",
    replaces={
        "hmm_invalidate_range_start": _nothing_yet,
        "hmm_invalidate_range_end": _afterwards,
    },
)


def _never(interval: MmuIntervalNotifier) -> bool:
    return False


hmm_never_retries = Patch(
    name="hmm_never_retries",
    title="lib/test_hmm: map what was found without asking whether it is still so",
    kind="proposal",
    source="what mmu_interval_read_retry() is there for: a change of our own, for the worse",
    replaces={"mmu_interval_read_retry": _never},
)


def _fault_without_reference(vmf: VmFaultInfo) -> VmFault:
    """Ask the device for the page that was read without the page-table lock."""
    if vmf.flags & FaultFlag.VMA_LOCK:
        vma_end_read(vmf.vma)
        return VmFault.RETRY
    return pgmap_of(vmf.orig_pte.pfn).migrate_to_ram(vmf, vmf.orig_pte.pfn, -1)


devpriv_fault_ref = Patch(
    name="devpriv_fault_ref",
    title="mm/memory.c: fix race when faulting a device private page",
    kind="fix",
    commit="16ce101db85d",
    since="6.1",
    source="Alistair Popple, 2022; CVE-2022-3523",
    replaces={"do_device_private": _fault_without_reference},
)


def _evict_and_free(dmirror: Dmirror) -> None:
    mmu_interval_notifier_remove(dmirror.notifier)
    dmirror_device_evict_chunk(dmirror)
    dmirror.notifier.memory.free()


test_hmm_evict = Patch(
    name="test_hmm_evict",
    title="lib: test_hmm: evict device pages on file close to avoid use-after-free",
    kind="later fix",
    commit="744dd97752ef",
    since="7.1",
    stable={"6.12": "6.12.86", "6.1": "6.1.176"},
    source="Alistair Popple, 2026; CVE-2026-46280",
    replaces={"dmirror_fops_release": _evict_and_free},
)
