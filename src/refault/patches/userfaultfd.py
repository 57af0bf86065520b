"""userfaultfd: what was repaired later, and what could be."""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.fault import pte_must_wait
from refault.linux.fs.userfaultfd.wake import wake_userfault
from refault.linux.include.linux.mm_types import Vm, VmFaultInfo
from refault.linux.include.linux.pgtable import Pte, PteMarker, pte_write, ptep_get
from refault.linux.include.uapi.errno import EEXIST
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, UffdRange
from refault.linux.mm.mprotect import MmCp
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


def _protection_only(vm_flags: Vm) -> MmCp:
    """Private memory stays read-only until the write fault; shared memory is as it is mapped."""
    upgrade = MmCp.TRY_CHANGE_WRITABLE if vm_flags & Vm.SHARED else MmCp.NONE
    return MmCp.UFFD_WP_RESOLVE | upgrade


uffd_wp_upgrades = Patch(
    name="uffd_wp_upgrades",
    title="mm/userfaultfd: rely on vma->vm_page_prot in uffd_wp_range()",
    kind="fix",
    commit="931298e103c2",
    since="6.3",
    source="David Hildenbrand, 2022; before it what was unprotected took one more write fault",
    replaces={"unprotecting": _protection_only},
)


UFFD_MARKER = PteMarker.UFFD_WP | PteMarker.POISONED
"""The markers of ``pte_is_uffd_marker()``."""


def _is_hole(pte: Pte) -> bool:
    """What is a hole to userfaultfd: nothing, or a marker of its own."""
    return pte.none or bool(pte.marker & UFFD_MARKER)


def _must_wait_marker(pte: Pte, reason: Vm) -> bool:
    if _is_hole(pte):
        note(f"{pte}: must wait")
        return True
    wait = bool(reason & Vm.UFFD_WP) and not pte_write(pte)
    note(f"{pte.kind.value}{', not writable: must' if wait else ': no need to'} wait")
    return wait


must_wait_marker = Patch(
    name="must_wait_marker",
    title="mm: correctly handle UFFD PTE markers",
    kind="later fix",
    commit="c093cf451094",
    since="6.19",
    source="Lorenzo Stoakes, 2025; markers of guard pages are no holes to userfaultfd",
    replaces={"pte_must_wait": _must_wait_marker, "mfill_may_replace": _is_hole},
)


def _must_wait_present(pte: Pte, reason: Vm) -> bool:
    if _is_hole(pte):
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
    over=("must_wait_marker",),
)


def _must_wait_on_no_poison(pte: Pte, reason: Vm) -> bool:
    if pte.marker & (PteMarker.POISONED | PteMarker.GUARD):
        note(f"{pte}: no need to wait")
        return False
    if pte.none_mostly:
        note("pte_none: must wait")
        return True
    wait = bool(reason & Vm.UFFD_WP) and not pte_write(pte)
    note(f"{pte.kind.value}{', not writable: must' if wait else ': no need to'} wait")
    return wait


must_wait_poison = Patch(
    name="must_wait_poison",
    title="userfaultfd: an access that can only fail has nothing to wait for",
    kind="proposal",
    source="follows from the stories of UFFDIO_POISON in the catalogue",
    replaces={"pte_must_wait": _must_wait_on_no_poison},
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
