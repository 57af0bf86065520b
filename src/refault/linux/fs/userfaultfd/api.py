"""The handshake (``fs/userfaultfd.c``: ``userfaultfd_api()``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from refault.linux.fs.userfaultfd.ctx import UffdFeature, UserfaultfdCtx
from refault.linux.fs.userfaultfd.offers import OFFERS, all_offers
from refault.linux.include.uapi.errno import EFAULT, EINVAL, EPERM
from refault.linux.include.uapi.userfaultfd import API_FEATURES, UFFD_API, UserStruct
from refault.linux.modelled import kernel_function


class ApiResult(NamedTuple):
    """What the program finds: the result of the ioctl, and ``uffdio_api.features``."""

    ret: int
    features: UffdFeature = UffdFeature.NONE


@kernel_function("fs/userfaultfd.c", quiet=True)
def uffd_api_features() -> UffdFeature:
    """What this kernel can do."""
    return API_FEATURES & ~LATER | all_offers()


LATER = UffdFeature(sum(OFFERS.values()))
"""What came later than 5.0, and may be missing."""


def known_features(replaced: Mapping[str, Callable[[], UffdFeature]]) -> UffdFeature:
    """What a kernel offers in which these functions are replaced, said from outside of it."""
    found = API_FEATURES & ~LATER
    for name, feature in OFFERS.items():
        found |= replaced[name]() if name in replaced else feature
    return found


@kernel_function("fs/userfaultfd.c", label="UFFDIO_API")
def userfaultfd_api(
    ctx: UserfaultfdCtx,
    features: UffdFeature,
    *,
    api: int = UFFD_API,
    capable: bool = True,
    struct: UserStruct = UserStruct.WRITABLE,
) -> ApiResult:
    """Ask for features, once: a second handshake gets -EINVAL, also if it comes at the same time.

    What the kernel can do is written to the struct before the handshake counts; on an error the
    struct is zeroed. To be told of forks needs CAP_SYS_PTRACE (``capable``). Asking with no
    features at all is a handshake, too: whoever wants to know first opens another descriptor.
    """
    if struct is UserStruct.UNMAPPED:
        return ApiResult(-EFAULT)
    if api != UFFD_API:
        return _refuse(-EINVAL, struct)
    if features & UffdFeature.EVENT_FORK and not capable:
        return _refuse(-EPERM, struct)
    if features & UffdFeature.WP_ASYNC:
        features |= UffdFeature.WP_UNPOPULATED
    offered = uffd_api_features()
    if features & ~offered:
        return _refuse(-EINVAL, struct)
    if struct is UserStruct.READ_ONLY:
        return ApiResult(-EFAULT)
    if not claim_features(ctx, features | UffdFeature.INITIALIZED):
        return _refuse(-EINVAL, struct)
    return ApiResult(0, offered)


@kernel_function("fs/userfaultfd.c", quiet=True)
def claim_features(ctx: UserfaultfdCtx, features: UffdFeature) -> bool:
    """Set the features if nobody has; tells whether that was so."""
    return ctx.features.cas(UffdFeature.NONE, features)


def _refuse(error: int, struct: UserStruct) -> ApiResult:
    return ApiResult(-EFAULT if struct is UserStruct.READ_ONLY else error)
