"""The anon_vma of a mapping (``mm/rmap.c``, ``include/linux/rmap.h``).

Private memory gets it with its first page, under mmap_lock, and keeps it. It is a number: two
mappings that have the same can be joined. 0 is none. A mapping of a child has more than one, its
parent's and its own, as long as it has pages from there; that is said by a number below 0. The lock
of an anon_vma is not modelled.
"""

from __future__ import annotations

from refault.explore import atomic, current_program
from refault.linux.include.linux.mm_types import FRESH, Vm, VmArea
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.modelled import kernel_function

ACCESS = Vm.READ | Vm.WRITE | Vm.EXEC


def begins_fresh() -> bool:
    """Look whether the story has memory that has not been touched yet."""
    return FRESH in current_program().context


def has_anon_vma(vma: VmArea) -> bool:
    """Look whether a mapping has an anon_vma; in a story without fresh memory each has."""
    return not begins_fresh() or bool(vma.anon_vma.read())


@kernel_function("mm/rmap.c", quiet=True)
def __anon_vma_prepare(vma: VmArea) -> None:
    """Give a mapping its anon_vma, a neighbour's if they could be one; mmap_lock is held."""
    vma.anon_vma.write(find_mergeable_anon_vma(vma) or _unused(vma))


def _unused(vma: VmArea) -> int:
    """Allocate an anon_vma: a number that no mapping has."""
    with atomic():
        used = {other.anon_vma.read() for other in vma.vm_mm.vmas}
    return next(number for number in range(1, len(used) + 2) if number not in used)


@kernel_function("mm/vma.c", quiet=True)
def find_mergeable_anon_vma(vma: VmArea) -> int:
    """The anon_vma of a neighbour that is alike but for its protection, the next one's first."""
    found = {}
    with atomic():
        for other in vma.vm_mm.vmas:
            if other.covered().end and other.anon_vma.read() > 0:
                found[_compatible(vma, other)] = other.anon_vma.read()
    return found.get("next", 0) or found.get("previous", 0)


def _compatible(vma: VmArea, other: VmArea) -> str:
    """``anon_vma_compatible()``: which neighbour it is, or neither."""
    here, there = vma.covered(), other.covered()
    if other.vm_file is not vma.vm_file or (here.end != there.start and there.end != here.start):
        return ""
    if (vma.vm_flags.read() ^ other.vm_flags.read()) & ~ACCESS:
        return ""
    first, second = (here, there) if here.end == there.start else (there, here)
    if second.pgoff != first.pgoff + (first.end - first.start) // PAGE_SIZE:
        return ""
    return "next" if second is there else "previous"


def mergeable_anon_vma(target: int, source: int) -> bool:
    """``is_mergeable_anon_vma()``: the same, or one has none and the other no parent's pages."""
    if target and source:
        return target == source
    return (target or source) >= 0


def lacks_anon_vma(vma: VmArea) -> bool:
    """Tell whether a mapping needs an anon_vma before a page of its own can be put there."""
    return not has_anon_vma(vma) and not vma.vm_flags.read() & Vm.SHARED
