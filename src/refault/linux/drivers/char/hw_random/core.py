"""``read(2)`` of ``/dev/hwrng`` (``drivers/char/hw_random/core.c``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EFAULT, ERESTARTSYS
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock_interruptible, mutex_unlock
from refault.linux.lib.usercopy import _copy_to_user as copy_to_user
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Program

RANDOM = 4
"""What the generator delivers."""

CHUNK = 64
"""The bytes that it delivers at a time (``RNG_BUFFER_SIZE``)."""


class Hwrng:
    """The device: ``reading_mutex`` guards its buffer."""

    def __init__(self, program: Program) -> None:
        self.reading_mutex = Mutex(program, "reading_mutex")


@kernel_function("drivers/char/hw_random/core.c")
def rng_dev_read(rng: Hwrng, mm: MmStruct, address: int) -> int:
    """Read one chunk: it is copied aside under the lock, and to the user without."""
    if mutex_lock_interruptible(rng.reading_mutex):
        return -ERESTARTSYS
    value = RANDOM
    mutex_unlock(rng.reading_mutex)
    return -EFAULT if copy_to_user(mm, address, value, CHUNK) else CHUNK
