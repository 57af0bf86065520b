"""HMM's mirrors (``mm/hmm.c`` of Linux 4.14 to 5.4).

The base is how it was last, in 5.4: when the process ends, all mirrors are released with
``mirrors_sem`` held for reading, and a mirror must not be unregistered from within. What
else was proposed or merged in between are patches of ``hmm_release()``.
"""

from __future__ import annotations

from refault.linux.include.linux.hmm import Hmm, HmmMirror
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.mmu_notifier import (
    MmuNotifier,
    MmuNotifierOps,
    MmuNotifierRange,
)
from refault.linux.include.uapi.errno import EAGAIN
from refault.linux.kernel.locking.rwsem import (
    down_read,
    down_read_trylock,
    down_write,
    up_read,
    up_write,
)
from refault.linux.modelled import kernel_function


def hmm_get_or_create(mm: MmStruct) -> Hmm:
    """Make the ``struct hmm`` of a process, before a story begins, and register its notifier."""
    hmm = Hmm(mm)
    ops = MmuNotifierOps(
        release=lambda: hmm_release(hmm),
        invalidate_range_start=lambda range: hmm_invalidate_range_start(hmm, range),
        invalidate_range_end=lambda range: hmm_invalidate_range_end(hmm, range),
    )
    MmuNotifier(mm, f"{mm.prefix}hmm", ops)
    return hmm


@kernel_function("mm/hmm.c", quiet=True)
def hmm_invalidate_range_start(hmm: Hmm, range: MmuNotifierRange) -> int:
    """Have the devices forget a range before it changes."""
    return hmm_invalidate_range(hmm, range)


@kernel_function("mm/hmm.c", quiet=True)
def hmm_invalidate_range_end(hmm: Hmm, range: MmuNotifierRange) -> None:
    """The devices may map the range again; they take locks of their own for that."""


@kernel_function("mm/hmm.c", label=lambda hmm, range: "hmm_invalidate_range")
def hmm_invalidate_range(hmm: Hmm, range: MmuNotifierRange) -> int:
    """Call each mirror with ``mirrors_sem`` held for reading."""
    if range.blockable:
        down_read(hmm.mirrors_sem)
    elif not down_read_trylock(hmm.mirrors_sem):
        return -EAGAIN
    for mirror in hmm.mirrors:
        if mirror.listed.read():
            mirror.memory.read()
            mirror.ops.sync_cpu_device_pagetables(range)
    up_read(hmm.mirrors_sem)
    return 0


@kernel_function("mm/hmm.c")
def hmm_release(hmm: Hmm) -> None:
    """The process ends: release each mirror, with the list locked for reading."""
    down_read(hmm.mirrors_sem)
    for mirror in hmm.mirrors:
        if mirror.listed.read():
            release_mirror(mirror)
    up_read(hmm.mirrors_sem)


def release_mirror(mirror: HmmMirror) -> None:
    """Call the driver, if it wants to be called."""
    mirror.memory.read()
    if mirror.ops.release is not None:
        mirror.ops.release()


@kernel_function("mm/hmm.c", label=lambda mirror: f"hmm_mirror_register({mirror})")
def hmm_mirror_register(mirror: HmmMirror) -> None:
    """Put a mirror on the list."""
    down_write(mirror.hmm.mirrors_sem)
    mirror.listed.write(True)
    up_write(mirror.hmm.mirrors_sem)


@kernel_function("mm/hmm.c", label=lambda mirror: f"hmm_mirror_unregister({mirror})")
def hmm_mirror_unregister(mirror: HmmMirror) -> None:
    """Take a mirror off the list; nobody calls the driver any more, and it may free it."""
    down_write(mirror.hmm.mirrors_sem)
    mirror.listed.write(False)
    up_write(mirror.hmm.mirrors_sem)
