"""KVM: how it waits for a page, and how it knows that a page it has found is stale."""

from __future__ import annotations

from refault.linux.arch.x86.kvm.mmu.mmu import kvm_mmu_seq_look
from refault.linux.include.linux.foll import Foll, faultin_flags
from refault.linux.include.linux.mm_flags import FaultFlag
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.modelled import current
from refault.linux.virt.kvm.kvm_host import Kvm
from refault.patches.patch import Patch

SERIES = "Peter Xu, 2022: kvm/mm: Allow GUP to respond to non fatal signals"


def _fatal_only(foll: Foll) -> bool:
    return fatal_signal_pending(current())


def _no_such_flag(foll: Foll, unshare: bool) -> FaultFlag:
    return faultin_flags(foll & ~Foll.INTERRUPTIBLE, unshare=unshare)


gup_interruptible = Patch(
    name="gup_interruptible",
    title="mm/gup: Add FOLL_INTERRUPTIBLE",
    kind="fix",
    commit="93c5c61d9e58",
    since="6.2",
    source=SERIES,
    replaces={"gup_signal_pending": _fatal_only, "gup_fault_flags": _no_such_flag},
)


def _no_foll() -> Foll:
    return Foll.NONE


def _never(npages: int) -> bool:
    return False


kvm_sigpending_pfn = Patch(
    name="kvm_sigpending_pfn",
    title="kvm: Add interruptible flag to __gfn_to_pfn_memslot()",
    kind="fix",
    commit="c8b88b332bed",
    since="6.2",
    source=SERIES,
    replaces={"kvm_waiting_foll": _no_foll, "is_sigpending": _never},
)


def _never_stale(kvm: Kvm) -> bool:
    return False


kvm_retries_stale_faults = Patch(
    name="kvm_retries_stale_faults",
    title="KVM: Synchronize guest physical memory map to host virtual memory map",
    kind="fix",
    commit="e930bffe95e1",
    since="2.6.27",
    source="Andrea Arcangeli, 2008; of all that it brought, the look at sequence and count",
    replaces={"is_page_fault_stale": _never_stale},
)


def _later(kvm: Kvm) -> None:
    return None


def _look_now(kvm: Kvm) -> None:
    kvm_mmu_seq_look(kvm)


kvm_seq_after_lookup = Patch(
    name="kvm_seq_after_lookup",
    title="KVM: remember the sequence after the frame was looked up",
    kind="proposal",
    source="what the order of the two is there for: a change of our own, for the worse",
    replaces={"kvm_mmu_seq_begin": _later, "kvm_mmu_seq_checked": _look_now},
)


kvm_arm64_vma_lookup = Patch(
    name="kvm_arm64_vma_lookup",
    title="KVM: arm64: Retry fault if vma_lookup() results become invalid",
    kind="fix",
    commit="13ec9308a857",
    since="6.3",
    stable={"6.1": "6.1.27"},
    source="David Matlack, 2023; before it the sequence was remembered without mmap_lock",
    replaces={"abort_seq_under_lock": _later, "abort_seq_after_unlock": _look_now},
)
