"""Memory of devices that the CPU cannot reach (``include/linux/memremap.h``).

Such memory has page frames all the same, so that it can be mapped, counted and moved; an entry for
one is not present, and a fault on it asks the device to bring the page back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from refault.linux.include.linux.mm_flags import VmFault

if TYPE_CHECKING:
    from refault.linux.include.linux.mm_types import VmFaultInfo

FIRST_DEVICE_POOL = -10
"""The lists that the frames of the first device come from; those of the next are below."""


class DevPagemap(NamedTuple):
    """``struct dev_pagemap``: a device's memory; ``migrate_to_ram`` brings a page back.

    It is given the fault, the page, and again the page if the fault has locked it, else -1.
    """

    owner: str
    pool: int
    migrate_to_ram: Callable[[VmFaultInfo, int, int], VmFault]


def is_device_pool(pool: int) -> bool:
    """Tell whether frames of these lists belong to a device."""
    return pool <= FIRST_DEVICE_POOL
