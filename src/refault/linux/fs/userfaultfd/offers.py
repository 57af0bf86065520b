"""What came to userfaultfd one version after the other (``include/uapi/linux/userfaultfd.h``).

Each function tells of one thing that a kernel may not have yet; where it has not, the feature is
not offered, the mode cannot be registered and the ioctl is not known.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.linux.include.uapi.userfaultfd import UffdFeature
from refault.linux.modelled import kernel_function

FILE = "include/uapi/linux/userfaultfd.h"


@kernel_function(FILE, quiet=True)
def offers_wp() -> UffdFeature:
    """Write-protection."""
    return UffdFeature.PAGEFAULT_FLAG_WP


@kernel_function(FILE, quiet=True)
def offers_minor_hugetlbfs() -> UffdFeature:
    """Minor faults, and UFFDIO_CONTINUE."""
    return UffdFeature.MINOR_HUGETLBFS


@kernel_function(FILE, quiet=True)
def offers_minor_shmem() -> UffdFeature:
    """Minor faults of tmpfs."""
    return UffdFeature.MINOR_SHMEM


@kernel_function(FILE, quiet=True)
def offers_exact_address() -> UffdFeature:
    """Messages that say which byte it was."""
    return UffdFeature.EXACT_ADDRESS


@kernel_function(FILE, quiet=True)
def offers_wp_of_files() -> UffdFeature:
    """Write-protection of tmpfs and of hugetlb."""
    return UffdFeature.WP_HUGETLBFS_SHMEM


@kernel_function(FILE, quiet=True)
def offers_wp_unpopulated() -> UffdFeature:
    """Write-protection of holes."""
    return UffdFeature.WP_UNPOPULATED


@kernel_function(FILE, quiet=True)
def offers_poison() -> UffdFeature:
    """UFFDIO_POISON."""
    return UffdFeature.POISON


@kernel_function(FILE, quiet=True)
def offers_wp_async() -> UffdFeature:
    """Write-protection that the kernel lifts by itself."""
    return UffdFeature.WP_ASYNC


@kernel_function(FILE, quiet=True)
def offers_move() -> UffdFeature:
    """UFFDIO_MOVE."""
    return UffdFeature.MOVE


OFFERS: dict[str, UffdFeature] = {
    "offers_wp": UffdFeature.PAGEFAULT_FLAG_WP,
    "offers_minor_hugetlbfs": UffdFeature.MINOR_HUGETLBFS,
    "offers_minor_shmem": UffdFeature.MINOR_SHMEM,
    "offers_exact_address": UffdFeature.EXACT_ADDRESS,
    "offers_wp_of_files": UffdFeature.WP_HUGETLBFS_SHMEM,
    "offers_wp_unpopulated": UffdFeature.WP_UNPOPULATED,
    "offers_poison": UffdFeature.POISON,
    "offers_wp_async": UffdFeature.WP_ASYNC,
    "offers_move": UffdFeature.MOVE,
}
"""The functions of this file by name, and what each may say."""

_FUNCTIONS: tuple[Callable[[], UffdFeature], ...] = (
    offers_wp,
    offers_minor_hugetlbfs,
    offers_minor_shmem,
    offers_exact_address,
    offers_wp_of_files,
    offers_wp_unpopulated,
    offers_poison,
    offers_wp_async,
    offers_move,
)


def all_offers() -> UffdFeature:
    """All of these that the running kernel has."""
    found = UffdFeature.NONE
    for offers in _FUNCTIONS:
        found |= offers()
    return found
