"""userfaultfd: the ioctls, what was repaired in them and what could be."""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import Request
from refault.linux.fs.userfaultfd.wake import wake_userfault
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.uapi.errno import EAGAIN, EFAULT, EINVAL, ENOENT
from refault.linux.include.uapi.userfaultfd import (
    UffdFeature,
    UffdRange,
    WriteprotectMode,
)
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.mm.userfaultfd.changing import hold_mmap_changing, release_mmap_changing
from refault.linux.mm.userfaultfd.kind import can_userfault
from refault.linux.mm.userfaultfd.lock import validate_dst_vma
from refault.linux.mm.userfaultfd.register import userfaultfd_clear_vma
from refault.linux.mm.userfaultfd.wp import uffd_wp_range
from refault.patches.patch import Patch


def _unregister_and_wake_nobody(ctx: UserfaultfdCtx, vma: VmArea, part: UffdRange) -> None:
    userfaultfd_clear_vma(vma, part.start, part.end)


unregister_wakes = Patch(
    name="unregister_wakes",
    title="userfaultfd: non-cooperative: wake userfaults after UFFDIO_UNREGISTER",
    kind="fix",
    commit="09fa5296a41e",
    since="4.11",
    source="Andrea Arcangeli, 2016-12-16",
    replaces={"unregister_vma": _unregister_and_wake_nobody},
)


def _wake_all_modes(ctx: UserfaultfdCtx, vma: VmArea, part: UffdRange) -> None:
    wake_userfault(ctx, part)
    userfaultfd_clear_vma(vma, part.start, part.end)


unregister_wakes_all_modes = Patch(
    name="unregister_wakes_all_modes",
    title="userfaultfd: wake on unregister whatever the waiters wait for",
    kind="proposal",
    source="after a patch for minor faults of Axel Rasmussen, 2022, which was not merged",
    replaces={"unregister_vma": _wake_all_modes},
    over=("unregister_wakes",),
)


def _wake_last(ctx: UserfaultfdCtx, vma: VmArea, part: UffdRange) -> None:
    userfaultfd_clear_vma(vma, part.start, part.end)
    wake_userfault(ctx, part)


unregister_wakes_last = Patch(
    name="unregister_wakes_last",
    title="userfaultfd: wake on unregister when no fault can be queued any more",
    kind="proposal",
    source="follows from the stories of UFFDIO_UNREGISTER in the catalogue",
    replaces={"unregister_vma": _wake_last},
    over=("unregister_wakes", "unregister_wakes_all_modes"),
)


def _registered_with(ctx: UserfaultfdCtx, vma: VmArea) -> bool:
    return vma.ctx is ctx


copy_checks_ctx = Patch(
    name="copy_checks_ctx",
    title="userfaultfd: fill only what is registered with the userfaultfd that is asked",
    kind="proposal",
    source="follows from the stories of UFFDIO_COPY in the catalogue; UFFDIO_MOVE does it",
    replaces={"may_fill_for": _registered_with},
)


def _wake_what_was_filled(ctx: UserfaultfdCtx, ask: Request, filled: int, dontwake: bool) -> int:
    note("the result cannot be written: -EFAULT")
    if filled > 0 and not dontwake:
        wake_userfault(ctx, UffdRange(ask.dst, filled))
    return -EFAULT


wake_despite_efault = Patch(
    name="wake_despite_efault",
    title="userfaultfd: wake the waiters of what was filled also if nobody can be told of it",
    kind="proposal",
    source="follows from the stories of UFFDIO_COPY in the catalogue",
    replaces={"fail_put_user": _wake_what_was_filled},
)


def _wake_what_was_unprotected(
    ctx: UserfaultfdCtx, ask: Request, protect: bool, dontwake: bool
) -> None:
    if not protect and not dontwake:
        wake_userfault(ctx, ask.range)


wp_wakes_on_error = Patch(
    name="wp_wakes_on_error",
    title="userfaultfd: wake the range also if a part of it could not be unprotected",
    kind="proposal",
    source="follows from the stories of UFFDIO_WRITEPROTECT in the catalogue",
    replaces={"fail_writeprotect": _wake_what_was_unprotected},
)


def _protect_one_mapping(ctx: UserfaultfdCtx, start: int, length: int, enable_wp: bool) -> int:
    mmap_read_lock(ctx.mm)
    hold_mmap_changing(ctx)
    err = -EAGAIN
    if not ctx.mmap_changing.read():
        vma = ctx.mm.find_vma(start)
        err = -ENOENT
        if vma and validate_dst_vma(vma, start + length) and vma.vm_flags.read() & Vm.UFFD_WP:
            uffd_wp_range(vma, start, start + length, enable_wp)
            err = 0
    release_mmap_changing(ctx)
    mmap_read_unlock(ctx.mm)
    return err


wp_multiple_vmas = Patch(
    name="wp_multiple_vmas",
    title="mm/userfaultfd: support WP on multiple VMAs",
    kind="fix",
    commit="a1b92a3f1498",
    since="6.4",
    source="Muhammad Usama Anjum, 2023; before it a range that is not all in one mapping that is "
    "registered for it was refused as a whole",
    replaces={"mwriteprotect_range": _protect_one_mapping},
)


def _flags(vma: VmArea) -> Vm:
    return vma.vm_flags.read() & (Vm.UFFD | Vm.SHARED)


def _same_modes(before: Vm, vma: VmArea) -> bool:
    return _flags(vma) == before


copy_retry_state = Patch(
    name="copy_retry_state",
    title="userfaultfd: verify VMA state across UFFDIO_COPY retry",
    kind="later fix",
    commit="85668fda932a",
    since="7.1",
    source="Mike Rapoport, 2026",
    replaces={"mfill_retry_state_save": _flags, "mfill_retry_state_same": _same_modes},
)


def _no_such_ioctl(ctx: UserfaultfdCtx, ask: Request, mode: WriteprotectMode) -> int:
    return -EINVAL


def _not_offered() -> UffdFeature:
    return UffdFeature.NONE


def _not_for_wp(vma: VmArea, modes: Vm, asynchronous: bool) -> bool:
    return not modes & Vm.UFFD_WP and can_userfault(vma, modes)


uffd_wp = Patch(
    name="uffd_wp",
    title="userfaultfd: wp: add the writeprotect API to userfaultfd ioctl",
    kind="fix",
    commit="63b2d4174c4a",
    since="5.7",
    source="Shaohua Li, Andrea Arcangeli, Peter Xu, 2020; a story whose memory is registered for "
    "it from the beginning has it all the same",
    replaces={
        "userfaultfd_writeprotect": _no_such_ioctl,
        "offers_wp": _not_offered,
        "offers_wp_of_files": _not_offered,
        "offers_wp_unpopulated": _not_offered,
        "offers_wp_async": _not_offered,
        "vma_can_userfault": _not_for_wp,
    },
)


def _say_nothing(ask: Request) -> int:
    return 0


eagain_result = Patch(
    name="eagain_result",
    title="mm/userfaultfd: fix uninitialized output field for -EAGAIN race",
    kind="fix",
    commit="95567729173e",
    since="6.15",
    stable={"6.12": "6.12.29"},
    source="Peter Xu, 2025; before it the program found in its struct what was there, here 0",
    replaces={"say_mmap_changing": _say_nothing},
)


def _look_then_set(ctx: UserfaultfdCtx, features: UffdFeature) -> bool:
    if ctx.features.read():
        return False
    ctx.features.write(features)
    return True


api_once = Patch(
    name="api_once",
    title="userfaultfd: prevent concurrent API initialization",
    kind="fix",
    commit="22e5fe2a2a27",
    since="5.15",
    source="Nadav Amit, 2021",
    replaces={"claim_features": _look_then_set},
)


def _any_size(vma: VmArea, address: int) -> int:
    return 0


shmem_i_size = Patch(
    name="shmem_i_size",
    title="userfaultfd: shmem: add i_size checks",
    kind="fix",
    commit="e2a50c1f6414",
    since="4.20",
    source="Andrea Arcangeli, 2018",
    replaces={"beyond_the_end": _any_size},
)
