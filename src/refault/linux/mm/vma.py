"""Mappings that come and go (``mm/vma.c``).

All of it under mmap_lock for writing, and with each VMA that changes write-locked, so that no fault
is in it. A VMA that is unmapped leaves the tree first, so that nobody finds it; then its pages are
zapped, its page tables freed, and itself.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.fs.userfaultfd.events import (
    Unmapped,
    userfaultfd_unmap_complete,
    userfaultfd_unmap_prep,
)
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.mm_types import MmStruct, VmaLockState, VmArea, VmSpan
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.memory.zap import UNMAP, zap_page_range_single
from refault.linux.mm.mmap_lock import (
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    vma_start_write,
)
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/vma_init.c", quiet=True)
def vm_area_dup(orig: VmArea, mm: MmStruct) -> VmArea:
    """Allocate a VMA of ``mm`` like ``orig``; not in the tree yet."""
    flags, uffd = orig.vm_flags.read(), orig.uffd_ctx.read()
    with atomic():
        for vma in mm.vmas:
            if vma.vm_file is orig.vm_file and vma.vm_flags.allocate(flags):
                vma.uffd_ctx.write(uffd)
                vma.anon_vma.write(orig.anon_vma.read())
                return vma
    raise no_spare(mm)


def no_spare(mm: MmStruct) -> NotModelled:
    """What is wrong where a story has not set enough aside."""
    return NotModelled(
        f"a mapping more in {mm} than the story has set aside", "say process.spare() before"
    )


@kernel_function("mm/vma_init.c", quiet=True)
def vm_area_alloc(mm: MmStruct, flags: Vm, file: File | None) -> VmArea:
    """Allocate a VMA that has not been touched; not in the tree yet."""
    with atomic():
        for vma in mm.vmas:
            if vma.vm_file is file and vma.vm_flags.allocate(flags):
                vma.uffd_ctx.write("")
                vma.anon_vma.write(0)
                return vma
    raise no_spare(mm)


@kernel_function("mm/vma.c", quiet=True)
def vma_link(vma: VmArea, span: VmSpan) -> None:
    """Put a VMA into the tree, locked by the caller until it drops mmap_lock."""
    with atomic():
        vma.vm_lock.update(_attach)
        vma_start_write(vma)
        vma.span.write(span)


def _attach(lock: VmaLockState) -> tuple[VmaLockState, None]:
    return lock._replace(detached=False), None


@kernel_function("mm/vma.c")
def __split_vma(vma: VmArea, address: int) -> VmArea:
    """Cut a VMA in two at ``address``; returns the upper part, which is new."""
    span = vma.span.read()
    assert span is not None
    new = vm_area_dup(vma, vma.vm_mm)
    vma_start_write(vma)
    with atomic():
        vma.span.write(span._replace(end=address))
        vma_link(new, VmSpan(address, span.end, span.pgoff + (address - span.start) // PAGE_SIZE))
    return new


def vmas_in(mm: MmStruct, start: int, end: int) -> list[VmArea]:
    """Return the VMAs that a range meets, in order; the caller holds mmap_lock."""
    spans = ((vma.covered(), vma) for vma in mm.vmas)
    met = [(span.start, vma) for span, vma in spans if span.start < end and start < span.end]
    return [vma for _, vma in sorted(met, key=lambda found: found[0])]


@kernel_function("mm/vma.c", quiet=True)
def vms_gather_munmap_vmas(mm: MmStruct, start: int, end: int) -> tuple[VmArea, ...]:
    """Cut what sticks out of the range, and return what is inside, write-locked."""
    inside = []
    for vma in vmas_in(mm, start, end):
        inner = vma
        if inner.vm_start < start:
            inner = __split_vma(inner, start)
        if inner.vm_end > end:
            __split_vma(inner, end)
        vma_start_write(inner)
        inside.append(inner)
    return tuple(inside)


def _detach(lock: VmaLockState) -> tuple[VmaLockState, None]:
    return lock._replace(detached=True), None


@kernel_function("mm/vma.c", quiet=True)
def vma_mark_detached(vma: VmArea) -> None:
    """Take a write-locked VMA out of the tree, for good."""
    with atomic():
        vma.span.write(None)
        vma.vm_lock.update(_detach)


@kernel_function("mm/vma.c", quiet=True)
def remove_vma(vma: VmArea) -> None:
    """Free a VMA that nobody can find any more; RCU keeps the memory one that VMAs are made of."""
    vma.vm_flags.free()


Parts = tuple[tuple[VmArea, int, int], ...]


@kernel_function("mm/vma.c", quiet=True)
def detach_range(mm: MmStruct, start: int, end: int) -> tuple[Parts, tuple[Unmapped, ...]]:
    """Take a range out of the tree; returns its VMAs with their bounds, and who is to be told."""
    unmaps: tuple[Unmapped, ...] = ()
    parts: Parts = ()
    for vma in vms_gather_munmap_vmas(mm, start, end):
        unmaps = userfaultfd_unmap_prep(vma, start, end, unmaps)
        parts = (*parts, (vma, vma.vm_start, vma.vm_end))
    for vma, _, _ in parts:
        vma_mark_detached(vma)
    note("out of the tree")
    return parts, unmaps


@kernel_function("mm/vma.c", quiet=True)
def vms_complete_munmap_vmas(parts: Parts) -> None:
    """Zap what was detached, and free it."""
    for vma, start, end in parts:
        zap_page_range_single(vma, start, end, UNMAP)
    for vma, _, _ in parts:
        remove_vma(vma)


@kernel_function("mm/vma.c", label="munmap")
def __vm_munmap(mm: MmStruct, start: int, end: int) -> int:
    """``munmap(2)``: the pages go under mmap_lock for reading."""
    mmap_write_lock(mm)
    parts, unmaps = detach_range(mm, start, end)
    mmap_write_downgrade(mm)
    vms_complete_munmap_vmas(parts)
    mmap_read_unlock(mm)
    userfaultfd_unmap_complete(unmaps)
    return 0
