"""userfaultfd: what it could not do yet, as far as a program sees it when it asks."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import Request
from refault.linux.include.uapi.errno import EINVAL
from refault.linux.include.uapi.userfaultfd import ContinueMode, MoveMode, PoisonMode, UffdFeature
from refault.patches.patch import Patch


def _not_offered() -> UffdFeature:
    return UffdFeature.NONE


def _no_continue(ctx: UserfaultfdCtx, ask: Request, mode: ContinueMode = ContinueMode.NONE) -> int:
    return -EINVAL


def _no_poison(ctx: UserfaultfdCtx, ask: Request, mode: PoisonMode = PoisonMode.NONE) -> int:
    return -EINVAL


def _no_move(ctx: UserfaultfdCtx, ask: Request, src: int, mode: MoveMode = MoveMode.NONE) -> int:
    return -EINVAL


uffd_minor = Patch(
    name="uffd_minor",
    title="userfaultfd: add minor fault registration mode",
    kind="fix",
    commit="7677f7fd8be7",
    since="5.13",
    source="Axel Rasmussen, 2021; with UFFDIO_CONTINUE (f619147104c8), for hugetlb first",
    replaces={"offers_minor_hugetlbfs": _not_offered, "userfaultfd_continue": _no_continue},
)

uffd_minor_shmem = Patch(
    name="uffd_minor_shmem",
    title="userfaultfd/shmem: support minor fault registration for shmem",
    kind="fix",
    commit="c949b097ef2e",
    since="5.14",
    source="Axel Rasmussen, 2021; a story whose memory is registered so from the beginning has it",
    replaces={"offers_minor_shmem": _not_offered},
)

uffd_exact_address = Patch(
    name="uffd_exact_address",
    title="userfaultfd: provide unmasked address on page-fault",
    kind="fix",
    commit="824ddc601adc",
    since="5.18",
    source="Nadav Amit, 2022",
    replaces={"offers_exact_address": _not_offered},
)

uffd_wp_files = Patch(
    name="uffd_wp_files",
    title="mm/uffd: enable write protection for shmem & hugetlbfs",
    kind="fix",
    commit="b1f9e876862d",
    since="5.19",
    source="Peter Xu, 2022; a story whose memory is registered so from the beginning has it",
    replaces={"offers_wp_of_files": _not_offered},
    over=("uffd_wp",),
)

uffd_wp_unpopulated = Patch(
    name="uffd_wp_unpopulated",
    title="mm/uffd: UFFD_FEATURE_WP_UNPOPULATED",
    kind="fix",
    commit="2bad466cc9d9",
    since="6.4",
    source="Peter Xu, 2023",
    replaces={"offers_wp_unpopulated": _not_offered},
    over=("uffd_wp",),
)

uffd_poison = Patch(
    name="uffd_poison",
    title="mm: userfaultfd: add new UFFDIO_POISON ioctl",
    kind="fix",
    commit="fc71884a5f59",
    since="6.6",
    source="Axel Rasmussen, 2023",
    replaces={"offers_poison": _not_offered, "userfaultfd_poison": _no_poison},
)

uffd_wp_async = Patch(
    name="uffd_wp_async",
    title="userfaultfd: UFFD_FEATURE_WP_ASYNC",
    kind="fix",
    commit="d61ea1cb0095",
    since="6.7",
    source="Peter Xu, 2023",
    replaces={"offers_wp_async": _not_offered},
    over=("uffd_wp",),
)

uffd_move_ioctl = Patch(
    name="uffd_move_ioctl",
    title="userfaultfd: UFFDIO_MOVE uABI",
    kind="fix",
    commit="adef440691ba",
    since="6.8",
    source="Andrea Arcangeli, Suren Baghdasaryan, 2023",
    replaces={"offers_move": _not_offered, "userfaultfd_move": _no_move},
)
