"""Page faults: how often they may be tried, what they answer, and what they look at again."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.fault import handle_userfault
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import HugePmd, MmStruct, Pmd, VmArea, VmFaultInfo
from refault.linux.include.linux.page import folio_of, folio_put
from refault.linux.include.linux.sched import TASK_NORMAL
from refault.linux.kernel.sched.core import try_to_wake_up
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.mm.shmem import ShmemFile, leave_queue
from refault.linux.modelled import current_kernel
from refault.patches.patch import Patch


def _retry(vmf: VmFaultInfo) -> VmFault:
    return VmFault.RETRY


fault_completed = Patch(
    name="fault_completed",
    title="mm: avoid unnecessary page fault retires on shared memory types",
    kind="fix",
    commit="d92725256b4f",
    since="5.19",
    source="Peter Xu, 2022",
    replaces={"throttled": _retry},
)


def _only_once(flags: FaultFlag) -> FaultFlag:
    return (flags | FaultFlag.TRIED) & ~FaultFlag.ALLOW_RETRY


fault_retry_unlimited = Patch(
    name="fault_retry_unlimited",
    title="mm: allow VM_FAULT_RETRY for multiple times",
    kind="fix",
    commit="4064b9827063",
    since="5.7",
    source="Peter Xu, 2020",
    replaces={"fault_tried": _only_once},
)


def _retry_is_final(vmf: VmFaultInfo, page: int) -> VmFault:
    """``do_page_mkwrite()`` that takes RETRY for what it says: nothing was prepared."""
    ops = vmf.vma.vm_ops
    assert ops is not None
    assert ops.page_mkwrite is not None
    told = vmf._replace(flags=FaultFlag.WRITE | FaultFlag.MKWRITE)
    ret = ops.page_mkwrite(told, page)
    if ret & VmFault.RETRY:
        return VmFault.NOPAGE
    if ret & (VmFault.ERROR | VmFault.NOPAGE):
        return ret
    if not ret & VmFault.LOCKED:
        folio_lock(page)
        if folio_of(page).mapping is None:
            folio_unlock(page)
            return VmFault.NONE
    return ret | VmFault.LOCKED


mkwrite_retry = Patch(
    name="mkwrite_retry",
    title="mm: do_page_mkwrite() runs the instruction again where ->page_mkwrite says RETRY",
    kind="proposal",
    source="follows from ->page_mkwrite handlers that return VM_FAULT_RETRY, which nobody looks at",
    replaces={"do_page_mkwrite": _retry_is_final},
)


def _no_pin(slot: int) -> bool:
    return True


def _nothing_to_clear(slot: int) -> None:
    return None


swapin_one_at_a_time = Patch(
    name="swapin_one_at_a_time",
    title="mm/swap: fix race when skipping swapcache",
    kind="fix",
    commit="13ddaf26be32",
    since="6.8",
    source="Kairui Song, 2024",
    replaces={"swapcache_prepare": _no_pin, "swapcache_clear": _nothing_to_clear},
)


def _no_zap_lock(vma: VmArea) -> None:
    return None


hugetlb_zap_lock = Patch(
    name="hugetlb_zap_lock",
    title="hugetlbfs: close race between MADV_DONTNEED and page fault",
    kind="fix",
    commit="2820b0f09be9",
    since="6.6",
    source="Rik van Riel, 2023",
    replaces={"hugetlb_zap_begin": _no_zap_lock, "hugetlb_zap_end": _no_zap_lock},
)


def _no_second_look(vmf: VmFaultInfo) -> VmFault:
    return VmFault.SIGBUS


hugetlb_recheck = Patch(
    name="hugetlb_recheck",
    title="hugetlbfs: fix hugetlb page migration/fault race causing SIGBUS",
    kind="fix",
    commit="4643d67e8cb0",
    since="5.3",
    source="Mike Kravetz, 2019",
    replaces={"hugetlb_alloc_failed": _no_second_look},
)


def _clear_first(vma: VmArea, pmd: HugePmd) -> None:
    vma.vm_mm.pmd.write(Pmd.NONE)


thp_never_none = Patch(
    name="thp_never_none",
    title="thp: fix MADV_DONTNEED vs. numa balancing race",
    kind="fix",
    commit="ced108037c2a",
    since="4.12",
    source="Kirill A. Shutemov, 2017",
    replaces={"pmdp_invalidate_ad": _clear_first},
)


def _stable_enough(mm: MmStruct) -> VmFault:
    return VmFault.NONE


oom_unstable = Patch(
    name="oom_unstable",
    title="mm, oom: fix potential data corruption when oom_reaper races with writer",
    kind="fix",
    commit="6b31d5955cb2",
    since="4.14",
    source="Michal Hocko, 2017",
    replaces={"check_stable_address_space": _stable_enough},
)


def _autoremove(file: ShmemFile, task: str) -> None:
    """``autoremove_wake_function()``: the entry goes only if the task was still asleep."""
    if try_to_wake_up(current_kernel().task(task), TASK_NORMAL):
        file.falloc.update(leave_queue, task)


shmem_unconditional_dequeue = Patch(
    name="shmem_unconditional_dequeue",
    title="shmem: fix shm fallocate() list corruption",
    kind="fix",
    commit="10d20bd25e06",
    since="4.9",
    source="Linus Torvalds, 2016",
    replaces={"synchronous_wake_function": _autoremove},
)


def _wait_first(vmf: VmFaultInfo, pfn: int) -> VmFault:
    """Give back the page table that was prepared after the wait, to the mm that the VMA names."""
    fault = handle_userfault(vmf, Vm.UFFD_MISSING)
    vmf.vma.vm_flags.read()
    folio_put(pfn)
    return fault


thp_missing_frees_first = Patch(
    name="thp_missing_frees_first",
    title="mm/userfaultfd: do not access vma->vm_mm after calling handle_userfault()",
    kind="fix",
    commit="bfe8cc1db02a",
    since="5.10",
    source="Gerald Schaefer, 2020",
    replaces={"huge_page_is_missing": _wait_first},
)


def _clean_will_do(pfn: int) -> bool:
    return not folio_of(pfn).dirty


lazyfree_checks_references = Patch(
    name="lazyfree_checks_references",
    title="mm: fix race between MADV_FREE reclaim and blkdev direct IO read",
    kind="fix",
    commit="6c8e2a256915",
    since="5.18",
    source="Mauricio Faria de Oliveira, 2022",
    replaces={"lazyfree_may_go": _clean_will_do},
)
