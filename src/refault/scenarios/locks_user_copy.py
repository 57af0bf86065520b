"""Copies to user memory under a lock that a page fault, or mmap(2), can want."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.arch.mmu import copy_to_user
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.uapi.signal import SIGKILL
from refault.linux.kernel.locking.mutex import (
    Mutex,
    mutex_lock,
    mutex_lock_killable,
    mutex_unlock,
)
from refault.linux.mm.filemap_fault import filemap_fault
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.scenarios.api import scenario

ALSA = (
    "bc55cfd5718c (5.18, CVE-2022-49272): ALSA: pcm: Fix potential AB/BA lock with buffer_mutex "
    "and mmap_lock"
)
HWRNG = (
    "78aafb3884f6 (6.8, CVE-2023-52615): hwrng: core - Fix page fault dead lock on mmap-ed hwrng"
)


def _sound_card(k: Kernel, *, copy_under_mutex: bool) -> None:
    """One thread reads samples, another maps the buffer of the device."""
    process = k.mm()
    page = process.mmap()
    buffer_mutex = Mutex(k.program, "buffer_mutex")

    def read() -> None:
        mutex_lock(buffer_mutex)
        if not copy_under_mutex:
            mutex_unlock(buffer_mutex)
        copy_to_user(page.mm, page.address, 1)
        if copy_under_mutex:
            mutex_unlock(buffer_mutex)

    def mmap() -> None:
        mmap_write_lock(page.mm)
        mutex_lock(buffer_mutex)
        mutex_unlock(buffer_mutex)
        mmap_write_unlock(page.mm)

    k.thread(name="reader", process=process)(lambda: k.syscall(read))
    k.thread(name="mapper", process=process)(lambda: k.syscall(mmap))


@scenario(source=ALSA, expect={"": "deadlock"})
def copy_under_a_mutex_of_mmap(k: Kernel) -> None:
    """A driver may copy to user memory under a mutex that its mmap handler takes: refuted.

    The copy faults, and the fault wants mmap_lock, which mmap(2) has.
    """
    _sound_card(k, copy_under_mutex=True)


@scenario(source=ALSA, expect={"": "holds"})
def copy_beside_a_mutex_of_mmap(k: Kernel) -> None:
    """It may, if the mutex is given back before the copy."""
    _sound_card(k, copy_under_mutex=False)


def _random_device(k: Kernel, *, copy_under_mutex: bool, killable: bool = False) -> None:
    """A read from a device into a mapping of that device; the fault reads from it as well."""
    reading_mutex = Mutex(k.program, "reading_mutex")

    def fault(vmf: VmFaultInfo) -> Found:
        mutex_lock(reading_mutex)
        mutex_unlock(reading_mutex)
        return filemap_fault(vmf)

    process = k.mm()
    device = k.file("hwrng", vm_ops=VmOperations(fault=fault, name="hwrng"))
    page = process.mmap(file=device, shared=True)

    def read() -> None:
        if killable:
            if mutex_lock_killable(reading_mutex):
                return
        else:
            mutex_lock(reading_mutex)
        if not copy_under_mutex:
            mutex_unlock(reading_mutex)
        copy_to_user(page.mm, page.address, 1)
        if copy_under_mutex:
            mutex_unlock(reading_mutex)

    @k.thread(process=process)
    def reader() -> None:
        k.syscall(read)

    if killable:

        @k.thread
        def killer() -> None:
            k.kill(reader, SIGKILL)


@scenario(source=HWRNG, expect={"": "deadlock"})
def copy_into_the_device_itself(k: Kernel) -> None:
    """A read into a mapping of the same device takes its mutex once: refuted, it takes it twice."""
    _random_device(k, copy_under_mutex=True)


@scenario(source=HWRNG, expect={"": "deadlock"})
def killing_does_not_help(k: Kernel) -> None:
    """Whoever takes the mutex killably can be killed: refuted, for the second time is the fault's.

    The fault handler waits uninterruptibly, so the task is there for ever.
    """
    _random_device(k, copy_under_mutex=True, killable=True)


@scenario(source=HWRNG, expect={"": "holds"})
def copy_beside_the_mutex(k: Kernel) -> None:
    """It takes it once if the copy comes after the mutex is given back."""
    _random_device(k, copy_under_mutex=False)
