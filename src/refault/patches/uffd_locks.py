"""userfaultfd: from mmap_lock to the lock of the VMA, and what ``mmap_changing`` is kept by."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.include.uapi.errno import ENOENT
from refault.linux.mm.anon_vma import __anon_vma_prepare, lacks_anon_vma
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    vma_end_read,
    vma_start_read,
)
from refault.linux.mm.userfaultfd.lock import find_vmas_mm_locked, validate_dst_vma
from refault.patches.patch import Patch


def lock_mmap(mm: MmStruct, dst: int, length: int) -> VmArea | int:
    """``uffd_mfill_lock()`` with mmap_lock."""
    mmap_read_lock(mm)
    vma = mm.find_vma(dst)
    if vma is not None and validate_dst_vma(vma, dst + length):
        if lacks_anon_vma(vma):
            __anon_vma_prepare(vma)
        return vma
    mmap_read_unlock(mm)
    return -ENOENT


def unlock_mmap(vma: VmArea) -> None:
    """``uffd_mfill_unlock()`` with mmap_lock."""
    mmap_read_unlock(vma.vm_mm)


def lock_mmap_to_move(mm: MmStruct, dst: int, src: int) -> tuple[VmArea, VmArea] | int:
    """``uffd_move_lock()`` with mmap_lock."""
    mmap_read_lock(mm)
    found = find_vmas_mm_locked(mm, dst, src)
    if isinstance(found, int):
        mmap_read_unlock(mm)
    return found


def unlock_mmap_moved(dst_vma: VmArea, src_vma: VmArea) -> None:
    """``uffd_move_unlock()`` with mmap_lock."""
    mmap_read_unlock(dst_vma.vm_mm)


uffd_mfill_vma_lock = Patch(
    name="uffd_mfill_vma_lock",
    title="userfaultfd: use per-vma locks in userfaultfd operations",
    kind="fix",
    commit="867a43a34ff8",
    since="6.9",
    source="Lokesh Gidra, 2024",
    replaces={
        "uffd_mfill_lock": lock_mmap,
        "uffd_mfill_unlock": unlock_mmap,
        "uffd_move_lock": lock_mmap_to_move,
        "uffd_move_unlock": unlock_mmap_moved,
    },
)


def _lock_unless_armed(mm: MmStruct, address: int) -> bool:
    vma = mm.find_vma(address)
    if vma is None or not vma_start_read(vma):
        return False
    if vma.vm_flags.read() & (Vm.UFFD_MISSING | Vm.UFFD_WP):
        vma_end_read(vma)
        return False
    return True


uffd_fault_vma_lock = Patch(
    name="uffd_fault_vma_lock",
    title="mm: handle userfaults under VMA lock",
    kind="fix",
    commit="29a22b9e08d7",
    since="6.6",
    source="Suren Baghdasaryan, 2023; before it a registered mapping was faulted under mmap_lock",
    replaces={"lock_vma_under_rcu": _lock_unless_armed},
)


def _raise_without_lock(ctx: UserfaultfdCtx) -> None:
    ctx.mmap_changing.update(_add, 1)


def _no_lock(ctx: UserfaultfdCtx) -> None:
    return None


def _add(count: int, by: int) -> tuple[int, None]:
    return count + by, None


map_changing_lock = Patch(
    name="map_changing_lock",
    title="userfaultfd: protect mmap_changing with rw_sem in userfaulfd_ctx",
    kind="fix",
    commit="5e4c24a57b0c",
    since="6.9",
    source="Lokesh Gidra, 2024; before it mmap_lock kept events and ioctls apart",
    replaces={
        "mmap_changing_begin": _raise_without_lock,
        "hold_mmap_changing": _no_lock,
        "release_mmap_changing": _no_lock,
    },
)


def _set(ctx: UserfaultfdCtx) -> None:
    ctx.mmap_changing.write(1)


def _clear(ctx: UserfaultfdCtx) -> None:
    ctx.mmap_changing.write(0)


mmap_changing_atomic = Patch(
    name="mmap_changing_atomic",
    title="userfaultfd: change mmap_changing to atomic",
    kind="fix",
    commit="a759a909d42d",
    since="5.15",
    source="Nadav Amit, 2021; before it was true or false",
    replaces={"mmap_changing_begin": _set, "mmap_changing_end": _clear},
    over=("map_changing_lock",),
)


def _nothing_changes(ctx: UserfaultfdCtx) -> None:
    return None


mmap_changing = Patch(
    name="mmap_changing",
    title="userfaultfd: prevent non-cooperative events vs mcopy_atomic races",
    kind="fix",
    commit="df2cc96e7701",
    since="4.18",
    source="Mike Rapoport, 2018",
    replaces={"mmap_changing_begin": _nothing_changes, "mmap_changing_end": _nothing_changes},
    over=("map_changing_lock", "mmap_changing_atomic"),
)
