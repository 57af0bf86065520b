"""Faults on tmpfs, and punching holes in it (``mm/shmem.c``).

While a hole is being punched faults in it wait, so that they do not fill the hole as fast as it is
made: ``shmem_fallocate()`` puts a description of the hole and a wait queue on its stack and lets
``inode->i_private`` point to them. A fault that finds it drops its lock if it may, sleeps once, and
is taken again. All of that goes on under ``i_lock``, also the end of it.

Left out are pages of tmpfs that are swapped out, and huge ones: a page that is not in the cache is
a hole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Violation, current_task, note, restart
from refault.linux.fs.userfaultfd.fault import handle_userfault
from refault.linux.include.linux.fs import AddressSpace, File
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import Vm, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.page import alloc_page, change_folio, folio_of, folio_put
from refault.linux.include.linux.sched import TASK_NORMAL, TASK_UNINTERRUPTIBLE
from refault.linux.kernel.locking.spinlock import SpinLock, spin_lock, spin_unlock
from refault.linux.kernel.sched.core import schedule, set_current_state, try_to_wake_up
from refault.linux.mm.filemap import folio_lock, folio_unlock, maybe_unlock_mmap_for_io
from refault.linux.mm.filemap_fault import filemap_get_folio, filemap_map_pages
from refault.linux.mm.page_cache import cache_insert
from refault.linux.mm.truncate import truncate_inode_pages_range, unmap_mapping_pages
from refault.linux.modelled import current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class Falloc(NamedTuple):
    """``struct shmem_falloc`` on the stack of who punches: the hole, and who waits for its end.

    ``here`` says that ``i_private`` points to it, ``gone`` that the function has returned, so that
    its stack is something else's by now.
    """

    start: int = 0
    end: int = 0
    waiters: tuple[str, ...] = ()
    here: bool = False
    gone: bool = True


class ShmemFile(File):
    """A file of tmpfs."""

    def __init__(self, program: Program, name: str, mapping: AddressSpace) -> None:
        super().__init__(mapping, shmem_vm_ops)
        self.i_lock = SpinLock(program, f"{name}.i_lock")
        self.falloc: Cell[Falloc] = program.cell(f"{name}.shmem_falloc", Falloc())


def _wait(falloc: Falloc, task: str) -> tuple[Falloc, None]:
    return falloc._replace(waiters=(task, *falloc.waiters)), None


def leave_queue(falloc: Falloc, task: str) -> tuple[Falloc, None]:
    """Take a task's entry off the queue, which is on the stack of who punches."""
    if task in falloc.waiters and falloc.gone:
        raise Violation("use after free", f"{task} leaves a wait queue on a stack that is gone")
    return falloc._replace(waiters=tuple(w for w in falloc.waiters if w != task)), None


def _return(falloc: Falloc) -> tuple[Falloc, None]:
    return falloc._replace(gone=True), None


def _detach(falloc: Falloc) -> tuple[Falloc, None]:
    return falloc._replace(here=False), None


@kernel_function("mm/shmem.c")
def shmem_falloc_wait(vmf: VmFaultInfo, file: ShmemFile) -> VmFault:
    """Sleep, once, until the hole that the fault is in has been punched; nothing if there is none.

    The look at ``i_private`` before is without the lock; who finds something looks again.
    """
    if not file.falloc.read().here:
        return VmFault.NONE
    spin_lock(file.i_lock)
    hole = file.falloc.read()
    if not hole.here or not hole.start <= vmf.pgoff < hole.end:
        spin_unlock(file.i_lock)
        return VmFault.NONE
    dropped = maybe_unlock_mmap_for_io(vmf)
    file.falloc.update(_wait, current_task())
    set_current_state(TASK_UNINTERRUPTIBLE)
    spin_unlock(file.i_lock)
    schedule()
    spin_lock(file.i_lock)
    file.falloc.update(leave_queue, current_task())
    spin_unlock(file.i_lock)
    return VmFault.RETRY if dropped else VmFault.NOPAGE


@kernel_function("mm/shmem.c", quiet=True)
def synchronous_wake_function(file: ShmemFile, task: str) -> None:
    """Wake a fault and take its entry off the list, whether or not it was still asleep."""
    try_to_wake_up(current_kernel().task(task), TASK_NORMAL)
    file.falloc.update(leave_queue, task)


@kernel_function("mm/shmem.c")
def shmem_fallocate(file: ShmemFile, start: int, end: int) -> None:
    """``fallocate(FALLOC_FL_PUNCH_HOLE)``: faults in the hole wait until it is punched."""
    spin_lock(file.i_lock)
    file.falloc.write(Falloc(start, end, (), here=True, gone=False))
    spin_unlock(file.i_lock)
    unmap_mapping_pages(file.mapping, start, end, False)
    truncate_inode_pages_range(file.mapping, start, end)
    spin_lock(file.i_lock)
    file.falloc.update(_detach)
    for task in file.falloc.read().waiters:
        synchronous_wake_function(file, task)
    spin_unlock(file.i_lock)
    file.falloc.update(_return)


@kernel_function("mm/shmem.c")
def shmem_fault(vmf: VmFaultInfo) -> Found:
    """Find the page, or make it; returns it locked."""
    file = vmf.vma.vm_file
    assert isinstance(file, ShmemFile)
    fault = shmem_falloc_wait(vmf, file)
    return Found(fault) if fault else shmem_get_folio_gfp(vmf, file.mapping)


@kernel_function("mm/shmem.c", quiet=True)
def shmem_get_folio_gfp(vmf: VmFaultInfo, mapping: AddressSpace) -> Found:
    """Look the page up and make it if it is not there, or leave that to userfaultfd."""
    if vmf.pgoff >= mapping.i_size.read():
        return Found(VmFault.SIGBUS)
    while True:
        restart()
        pfn = filemap_get_folio(mapping, vmf.pgoff)
        if not pfn:
            found = _make(vmf, mapping)
            if found:
                return found
            continue
        if vmf.vm_flags & Vm.UFFD_MINOR:
            folio_put(pfn)
            return Found(handle_userfault(vmf, Vm.UFFD_MINOR))
        folio_lock(pfn)
        if folio_of(pfn).mapping == (mapping.name, vmf.pgoff):
            return Found(VmFault.LOCKED, pfn)
        folio_unlock(pfn)
        folio_put(pfn)


def _make(vmf: VmFaultInfo, mapping: AddressSpace) -> Found | None:
    """Fill the hole; None if somebody else did so first."""
    if vmf.vm_flags & Vm.UFFD_MISSING:
        note("page is missing")
        return Found(handle_userfault(vmf, Vm.UFFD_MISSING))
    new = alloc_page()
    folio_lock(new)
    if not cache_insert(mapping, vmf.pgoff, new):
        change_folio(new, dirty=True)
        return Found(VmFault.LOCKED, new)
    folio_unlock(new)
    folio_put(new)
    return None


shmem_vm_ops = VmOperations(fault=shmem_fault, map_pages=filemap_map_pages, name="tmpfs")
"""What tmpfs gives its mappings; nobody asks before the first write."""
