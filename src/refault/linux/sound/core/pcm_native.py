"""The buffer of a sound stream, and who may use it (``sound/core/pcm_native.c``).

Those who copy to the buffer and those who exchange it keep each other out by ``buffer_accessing``:
above zero somebody copies, below somebody exchanges, and nobody waits. ``buffer_mutex`` is for the
second kind alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EBUSY, EFAULT
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock
from refault.linux.lib.usercopy import _copy_from_user as copy_from_user
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class SndPcmRuntime:
    """``struct snd_pcm_runtime``, as far as its buffer goes."""

    def __init__(self, program: Program) -> None:
        self.buffer_mutex = Mutex(program, "buffer_mutex")
        self.buffer_accessing: Cell[int] = program.cell("buffer_accessing", 0)


def _inc_unless_negative(value: int) -> tuple[int, bool]:
    return (value, False) if value < 0 else (value + 1, True)


def _dec_unless_positive(value: int) -> tuple[int, bool]:
    return (value, False) if value > 0 else (value - 1, True)


def _add(value: int, by: int) -> tuple[int, None]:
    return value + by, None


@kernel_function("sound/core/pcm_native.c", quiet=True)
def snd_pcm_buffer_access_lock(runtime: SndPcmRuntime) -> int:
    """Begin to exchange the buffer; -EBUSY where somebody copies."""
    if not runtime.buffer_accessing.update(_dec_unless_positive):
        return -EBUSY
    mutex_lock(runtime.buffer_mutex)
    return 0


@kernel_function("sound/core/pcm_native.c", quiet=True)
def snd_pcm_buffer_access_unlock(runtime: SndPcmRuntime) -> None:
    """End it."""
    mutex_unlock(runtime.buffer_mutex)
    runtime.buffer_accessing.update(_add, 1)


@kernel_function("sound/core/pcm_lib.c", label="write to the stream")
def __snd_pcm_lib_xfer(runtime: SndPcmRuntime, mm: MmStruct, address: int, length: int) -> int:
    """Copy from the user to the buffer: bytes, or -errno."""
    if not runtime.buffer_accessing.update(_inc_unless_negative):
        return -EBUSY
    left = copy_from_user(mm, address, length).left
    runtime.buffer_accessing.update(_add, -1)
    return -EFAULT if left else length


@kernel_function("sound/core/oss/pcm_oss.c", label="mmap of the stream")
def snd_pcm_oss_mmap(runtime: SndPcmRuntime, mm: MmStruct) -> int:
    """Map the buffer, which exchanges it first: 0 or -errno."""
    mmap_write_lock(mm)
    err = snd_pcm_buffer_access_lock(runtime)
    if not err:
        snd_pcm_buffer_access_unlock(runtime)
    mmap_write_unlock(mm)
    return err
