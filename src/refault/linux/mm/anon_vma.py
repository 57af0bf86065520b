"""The anon_vma of a mapping (``mm/rmap.c``, ``include/linux/rmap.h``).

All that matters here is whether there is one: private memory gets it with its first page, under
mmap_lock, and keeps it. The lock of its own is not modelled.
"""

from __future__ import annotations

from refault.explore import current_program
from refault.linux.include.linux.mm_types import FRESH, Vm, VmArea
from refault.linux.modelled import kernel_function


def has_anon_vma(vma: VmArea) -> bool:
    """Look whether a mapping has an anon_vma; in a story without fresh memory each has."""
    return FRESH not in current_program().context or vma.anon_vma.read()


@kernel_function("mm/rmap.c", quiet=True)
def __anon_vma_prepare(vma: VmArea) -> None:
    """Give a mapping its anon_vma; the caller holds mmap_lock."""
    vma.anon_vma.write(True)


def lacks_anon_vma(vma: VmArea) -> bool:
    """Tell whether a mapping needs an anon_vma before a page of its own can be put there."""
    return not has_anon_vma(vma) and not vma.vm_flags.read() & Vm.SHARED
