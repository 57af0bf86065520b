"""userfaultfd: what was repaired later, and what could be."""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.fault import pte_must_wait
from refault.linux.fs.userfaultfd.wake import wake_userfault
from refault.linux.include.linux.mm_types import Vm, VmFaultInfo
from refault.linux.include.linux.pgtable import Pte, ptep_get
from refault.linux.include.uapi.errno import EEXIST
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, UffdRange
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.patches.patch import Patch


def _must_wait_locked(ctx: UserfaultfdCtx, vmf: VmFaultInfo, reason: Vm) -> bool:
    if not pte_offset_map_lock(ctx.mm):
        note("no page table: must wait")
        return True
    pte = ptep_get(ctx.mm.pte(vmf.address))
    pte_unmap_unlock(ctx.mm)
    return pte_must_wait(pte, reason)


must_wait_ptl = Patch(
    name="must_wait_ptl",
    title="userfaultfd: read the PTE under its lock before going to sleep",
    kind="proposal",
    source="follows from LKML 2020-12-21, Nadav Amit: the test before the sleep is lockless",
    replaces={"userfaultfd_must_wait": _must_wait_locked},
)


def _must_wait_present(pte: Pte, reason: Vm) -> bool:
    if pte.none_mostly:
        note("pte_none: must wait")
        return True
    if not pte.present:
        note(f"{pte.kind.value}: no need to wait")
        return False
    wait = bool(reason & Vm.UFFD_WP) and not pte.write
    note(f"PTE is present{', not writable: must' if wait else ': no need to'} wait")
    return wait


must_wait_pte_present = Patch(
    name="must_wait_pte_present",
    title="userfaultfd: gate must_wait writability check on pte_present()",
    kind="later fix",
    commit="8e80af52db65",
    since="7.2",
    source="Kiryl Shutsemau, 2026",
    replaces={"pte_must_wait": _must_wait_present},
)


def _must_wait_uffd_wp(pte: Pte, reason: Vm) -> bool:
    wait = pte.none_mostly or bool(reason & Vm.UFFD_WP and pte.uffd_wp)
    note(f"PTE is {pte}: {'must' if wait else 'no need to'} wait")
    return wait


must_wait_uffd_wp = Patch(
    name="must_wait_uffd_wp",
    title="userfaultfd: judge write-protection faults by the uffd-wp bit, not the write bit",
    kind="proposal",
    source="follows from the stories of write-protection faults in the catalogue",
    replaces={"pte_must_wait": _must_wait_uffd_wp},
)


def _wake_also_on_eexist(ctx: UserfaultfdCtx, dst: int, filled: int, dontwake: bool) -> int:
    if filled == -EEXIST:
        note("-EEXIST")
    if (filled > 0 or filled == -EEXIST) and not dontwake:
        wake_userfault(ctx, UffdRange(dst, PAGE_SIZE))
    return filled


kernel_wakes_on_eexist = Patch(
    name="kernel_wakes_on_eexist",
    title="userfaultfd: wake the waiters of a page that UFFDIO_COPY finds present",
    kind="proposal",
    source="follows from LKML 2020-12-21, Nadav Amit: -EEXIST wakes nobody",
    replaces={"wake_filled": _wake_also_on_eexist},
)
