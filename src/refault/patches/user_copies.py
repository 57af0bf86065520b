"""User copies as they were: tried once more, with faults handled, or under a lock."""

from __future__ import annotations

from refault.explore import restart
from refault.linux.arch.x86.lib.copy_user_64 import (
    Move,
    UserCopy,
    copy_loop,
    copy_user_handle_tail,
)
from refault.linux.drivers.char.hw_random.core import CHUNK, RANDOM, Hwrng
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.errno import EFAULT, EINTR, ERESTARTSYS
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.mutex import mutex_lock, mutex_lock_interruptible, mutex_unlock
from refault.linux.lib.usercopy import _copy_from_user, _copy_to_user, raw_copy
from refault.linux.mm.filemap_rw import write_page
from refault.linux.mm.gup.fault_in import fault_in_readable
from refault.linux.modelled import current
from refault.linux.sound.core.pcm_native import SndPcmRuntime
from refault.patches.patch import Patch


def _try_the_tail(move: Move) -> UserCopy:
    done = copy_loop(move)
    return copy_user_handle_tail(move, done) if done.left else done


copy_user_one_try = Patch(
    name="copy_user_one_try",
    title="x86: inline the 'rep movs' in user copies for the FSRM case",
    kind="fix",
    commit="577e6a7fd50d",
    since="6.4",
    source="Linus Torvalds, 2023; before it a copy that had failed was tried again byte by byte",
    replaces={"copy_user_generic": _try_the_tail},
)


def _copy_and_fault(mm: MmStruct, address: int, length: int) -> UserCopy:
    return raw_copy(Move(mm, address, length))


def _write_what_is_faulted_in(file: File, mm: MmStruct, address: int, count: int) -> int:
    written, error = 0, 0
    while written < count and not error:
        restart(written)
        length = min(PAGE_SIZE, count - written)
        if fault_in_readable(mm, address + written, length) == length:
            error = -EFAULT
        elif fatal_signal_pending(current()):
            error = -EINTR
        else:
            written += write_page(file, mm, address + written, written, length)
    return written or error


prefault_after_copy = Patch(
    name="prefault_after_copy",
    title="filemap: Move prefaulting out of hot write path",
    kind="fix",
    commit="665575cff098",
    since="6.15",
    source="Dave Hansen, 2025; 6.1.192 was seen to fault twice where 6.18 faults once",
    replaces={"generic_perform_write": _write_what_is_faulted_in},
)


pagecache_write_nofault = Patch(
    name="pagecache_write_nofault",
    title="mm: fix pagecache write deadlocks",
    kind="fix",
    commit="08291429cfa6",
    since="2.6.25",
    source="Nick Piggin, 2007; before it write(2) handled faults with a page of the file locked",
    replaces={"__copy_from_user_inatomic": _copy_and_fault},
)


def _copy_under_the_lock(rng: Hwrng, mm: MmStruct, address: int) -> int:
    if mutex_lock_interruptible(rng.reading_mutex):
        return -ERESTARTSYS
    left = _copy_to_user(mm, address, RANDOM, CHUNK)
    mutex_unlock(rng.reading_mutex)
    return -EFAULT if left else CHUNK


hwrng_copy_unlocked = Patch(
    name="hwrng_copy_unlocked",
    title="hwrng: core - Fix page fault dead lock on mmap-ed hwrng",
    kind="fix",
    commit="78aafb3884f6",
    since="6.8",
    stable={"6.1": "6.1.76", "6.6": "6.6.15"},
    source="Herbert Xu, 2023; CVE-2023-52615",
    replaces={"rng_dev_read": _copy_under_the_lock},
)


def _copy_under_buffer_mutex(
    runtime: SndPcmRuntime, mm: MmStruct, address: int, length: int
) -> int:
    mutex_lock(runtime.buffer_mutex)
    left = _copy_from_user(mm, address, length).left
    mutex_unlock(runtime.buffer_mutex)
    return -EFAULT if left else length


def _wait_for_buffer(runtime: SndPcmRuntime) -> int:
    mutex_lock(runtime.buffer_mutex)
    return 0


def _leave_buffer(runtime: SndPcmRuntime) -> None:
    mutex_unlock(runtime.buffer_mutex)


pcm_buffer_accessing = Patch(
    name="pcm_buffer_accessing",
    title="ALSA: pcm: Fix potential AB/BA lock with buffer_mutex and mmap_lock",
    kind="fix",
    commit="bc55cfd5718c",
    since="5.18",
    source="Takashi Iwai, 2022",
    replaces={
        "__snd_pcm_lib_xfer": _copy_under_buffer_mutex,
        "snd_pcm_buffer_access_lock": _wait_for_buffer,
        "snd_pcm_buffer_access_unlock": _leave_buffer,
    },
)
