"""userfaultfd: what the monitor is told of changes to the address space."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx, userfaultfd_ctx_put
from refault.linux.fs.userfaultfd.events import mmap_changing_end, userfaultfd_remove
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmFault, VmFaultInfo
from refault.linux.include.uapi.errno import ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.memory.zap import zap_page_range_single
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import modelled_function
from refault.patches.patch import Patch


def _lower_on_failure(ctx: UserfaultfdCtx | None) -> None:
    if ctx is not None:
        mmap_changing_end(ctx)
        userfaultfd_ctx_put(ctx)


mremap_fail_dec = Patch(
    name="mremap_fail_dec",
    title="userfaultfd: ensure mremap_userfaultfd_fail() releases mmap_changing",
    kind="later fix",
    commit="0496a59745b0",
    since="7.2",
    source="Mike Rapoport, 2026",
    replaces={"mremap_userfaultfd_fail": _lower_on_failure},
)


def _remove_without_a_second_look(mm: MmStruct, address: int, end: int = 0) -> int:
    mmap_read_lock(mm)
    vma = mm.find_vma(address)
    if vma is not None:
        if not userfaultfd_remove(vma, address, end or address + PAGE_SIZE):
            mmap_read_lock(mm)
        vma.vm_flags.read()
        zap_page_range_single(vma, address, end)
    mmap_read_unlock(mm)
    return 0 if vma is not None else -ENOMEM


remove_revalidates = Patch(
    name="remove_revalidates",
    title="userfaultfd: non-cooperative: userfaultfd_remove revalidate vma in MADV_DONTNEED",
    kind="fix",
    commit="70ccb92fdd90",
    since="4.11",
    source="Andrea Arcangeli, 2017",
    replaces={"madvise_dontneed_free": _remove_without_a_second_look},
)


def _huge_page_then_free_the_table(vmf: VmFaultInfo) -> VmFault:
    base = modelled_function("do_huge_pmd_anonymous_page")
    assert base is not None
    missing = bool(vmf.vm_flags & Vm.UFFD_MISSING)
    ret: VmFault = base.function(vmf)
    if missing and ret & VmFault.RETRY:
        vmf.vma.vm_flags.read()
    return ret


thp_frees_table_first = Patch(
    name="thp_frees_table_first",
    title="mm/userfaultfd: do not access vma->vm_mm after calling handle_userfault()",
    kind="fix",
    commit="bfe8cc1db02a",
    since="5.10",
    source="Gerald Schaefer, 2020; the page table that was at hand was given back to vma->vm_mm",
    replaces={"do_huge_pmd_anonymous_page": _huge_page_then_free_the_table},
)
