"""Joining mappings that are alike (``mm/vma.c``: ``vma_merge_existing_range()`` and its like).

Two VMAs next to each other become one where nothing tells them apart: flags, file, userfaultfd, the
offset at which they are mapped, and the anon_vma, unless one of them has none yet. One of a child
that still has pages of its parent's is joined with none.

What that changes can be seen from outside: UFFDIO_COPY and its like work inside one VMA, and so
does ``mremap(2)`` of registered memory.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import atomic
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea, VmSpan
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.anon_vma import mergeable_anon_vma
from refault.linux.mm.mmap_lock import vma_start_write
from refault.linux.mm.vma import __split_vma, remove_vma, vma_mark_detached
from refault.linux.modelled import kernel_function


class Like(NamedTuple):
    """What a range is to be: what of it must be the same for it to be joined with a neighbour."""

    flags: Vm
    uffd: str
    anon_vma: int
    file: File | None

    def flags_match(self, vma: VmArea) -> bool:
        """``is_mergeable_vma()``."""
        return (
            vma.vm_file is self.file
            and vma.vm_flags.read() == self.flags
            and vma.uffd_ctx.read() == self.uffd
        )


def _neighbours(mm: MmStruct, span: VmSpan) -> tuple[VmArea | None, VmArea | None]:
    """The VMAs that end where a range begins and begin where it ends, in one look."""
    prev = after = None
    with atomic():
        for vma in mm.vmas:
            covered = vma.covered()
            if not covered.end:
                continue
            if covered.end == span.start:
                prev = vma
            elif covered.start == span.end:
                after = vma
    return prev, after


def _end_pgoff(span: VmSpan) -> int:
    return span.pgoff + (span.end - span.start) // PAGE_SIZE


def partners(
    mm: MmStruct, span: VmSpan, like: Like, *, left: bool = True, right: bool = True
) -> tuple[VmArea | None, VmArea | None]:
    """The neighbours that a range can be joined with, and both of them only if with each other."""
    prev, after = _neighbours(mm, span)
    if not (left and prev and like.flags_match(prev)):
        prev = None
    if prev and not (
        mergeable_anon_vma(prev.anon_vma.read(), like.anon_vma)
        and _end_pgoff(prev.covered()) == span.pgoff
    ):
        prev = None
    if not (right and after and like.flags_match(after)):
        after = None
    if after and not (
        mergeable_anon_vma(after.anon_vma.read(), like.anon_vma)
        and after.covered().pgoff == _end_pgoff(span)
    ):
        after = None
    if prev and after:
        first, second = prev.anon_vma.read(), after.anon_vma.read()
        if first and second and first != second:
            after = None
    return prev, after


@kernel_function("mm/vma.c", quiet=True)
def vma_merge_existing_range(vma: VmArea, start: int, end: int, like: Like) -> VmArea | None:
    """Join a part of a VMA, which is about to change, with a neighbour; None if with neither."""
    span = vma.covered()
    left, right = start == span.start, end == span.end
    if not (left or right):
        return None
    pgoff = span.pgoff + (start - span.start) // PAGE_SIZE
    prev, after = partners(vma.vm_mm, VmSpan(start, end, pgoff), like, left=left, right=right)
    if prev is None and after is None:
        return None
    for changing in (vma, after, prev):
        if changing is not None:
            vma_start_write(changing)
    target = prev or after
    assert target is not None
    anon_vma = like.anon_vma or (after.anon_vma.read() if after else 0)
    _commit(vma, VmSpan(start, end, pgoff), prev, after, whole=left and right)
    _take_anon_vma(target, anon_vma)
    return target


def _commit(
    vma: VmArea, part: VmSpan, prev: VmArea | None, after: VmArea | None, *, whole: bool
) -> None:
    """Give a part to a neighbour, all of both where it fills the gap between two of them."""
    span = vma.covered()
    gone = [vma] if whole else []
    with atomic():
        if prev is not None:
            end = after.covered().end if after else part.end
            if after is not None:
                gone.append(after)
            for removed in gone:
                vma_mark_detached(removed)
            if not whole:
                vma.span.write(VmSpan(part.end, span.end, _end_pgoff(part)))
            prev.span.write(prev.covered()._replace(end=end))
        elif after is not None:
            for removed in gone:
                vma_mark_detached(removed)
            if not whole:
                vma.span.write(span._replace(end=part.start))
            after.span.write(VmSpan(part.start, after.covered().end, part.pgoff))
    for removed in gone:
        remove_vma(removed)


def _take_anon_vma(target: VmArea, anon_vma: int) -> None:
    """``dup_anon_vma()``: what had none has now that of what was joined to it."""
    if anon_vma and not target.anon_vma.read():
        target.anon_vma.write(anon_vma)


@kernel_function("mm/vma.c", quiet=True)
def vma_merge_new_range(mm: MmStruct, span: VmSpan, like: Like) -> VmArea | None:
    """Stretch a neighbour over a range where nothing is; None if none is like it."""
    prev, after = partners(mm, span, like)
    target = prev or after
    if target is None:
        return None
    for changing in (after, prev):
        if changing is not None:
            vma_start_write(changing)
    anon_vma = like.anon_vma or (after.anon_vma.read() if after else 0)
    with atomic():
        if prev is not None:
            end = after.covered().end if after else span.end
            if after is not None:
                vma_mark_detached(after)
            prev.span.write(prev.covered()._replace(end=end))
        elif after is not None:
            after.span.write(VmSpan(span.start, after.covered().end, span.pgoff))
    if prev is not None and after is not None:
        remove_vma(after)
    _take_anon_vma(target, anon_vma)
    return target


@kernel_function("mm/vma.c", quiet=True)
def vma_modify(vma: VmArea, start: int, end: int, flags: Vm, uffd: str) -> VmArea:
    """Return a VMA that covers a part of one which is about to change, or more than that part."""
    like = Like(flags, uffd, vma.anon_vma.read(), vma.vm_file)
    merged = vma_merge_existing_range(vma, start, end, like)
    if merged is not None:
        return merged
    if vma.vm_start < start:
        vma = __split_vma(vma, start)
    if vma.vm_end > end:
        __split_vma(vma, end)
    return vma
