"""NUMA: marking pages so that the next access faults, and asking where a page is.

``task_numa_work()`` (``kernel/sched/fair.c``) runs in a thread of the process on its way back to
user mode, and calls ``change_prot_numa()`` (``mm/mempolicy.c``).
"""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.mm.gup.fast import get_user_pages_fast
from refault.linux.mm.gup.pages import put_page
from refault.linux.mm.mmap_lock import mmap_read_trylock, mmap_read_unlock
from refault.linux.mm.mprotect import MmCp, change_protection
from refault.linux.modelled import kernel_function


@kernel_function("mm/mempolicy.c")
def change_prot_numa(vma: VmArea, address: int) -> None:
    """Make a page inaccessible to the hardware, though not to the kernel."""
    change_protection(vma, address, vma.vm_flags.read(), MmCp.PROT_NUMA)


@kernel_function("kernel/sched/fair.c")
def task_numa_work(vma: VmArea, address: int) -> None:
    """Scan a piece of the address space, unless mmap_lock is contended."""
    if not mmap_read_trylock(vma.vm_mm):
        return
    change_prot_numa(vma, address)
    mmap_read_unlock(vma.vm_mm)


@kernel_function("mm/mempolicy.c", label="lookup_node")
def lookup_node(mm: MmStruct, address: int) -> int:
    """Return the node of a page, as ``get_mempolicy(2)`` does with ``MPOL_F_ADDR``, or -errno.

    There is one node, 0.
    """
    found = get_user_pages_fast(mm, address, 1, Foll.NONE)
    if found.ret > 0:
        put_page(found.pfns[0])
        return 0
    return found.ret
