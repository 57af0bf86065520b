"""Faults of a guest (``arch/x86/kvm/mmu/mmu.c``)."""

from __future__ import annotations

from refault.explore import atomic, current_task, note
from refault.linux.include.linux.foll import Foll
from refault.linux.include.uapi.errno import EFAULT, EINTR
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.modelled import NotModelled, kernel_function
from refault.linux.virt.kvm.kvm_host import Kvm, Pfn, PfnError, Spte
from refault.linux.virt.kvm.kvm_main import hva_to_pfn, kvm_release_page

RET_PF_RETRY = 0
RET_PF_FIXED = 1


def _look(readers: tuple[str, ...], task: str) -> tuple[tuple[str, ...], None]:
    return tuple(sorted({*readers, task})), None


def _unchanged(readers: tuple[str, ...], task: str) -> tuple[tuple[str, ...], bool]:
    return tuple(r for r in readers if r != task), task in readers


@kernel_function("arch/x86/kvm/mmu/mmu.c", label="kvm_mmu_page_fault")
def kvm_mmu_page_fault(kvm: Kvm, address: int, write: bool) -> int:
    """Map a page for the guest; -errno ends ``KVM_RUN``, all else lets the guest try again."""
    kvm_mmu_seq_begin(kvm)
    pfn = kvm_mmu_faultin_pfn(kvm, address, write)
    if isinstance(pfn, PfnError):
        return kvm_handle_error_pfn(pfn)
    kvm_mmu_seq_checked(kvm)
    spin_lock(kvm.mmu_lock)
    stale = is_page_fault_stale(kvm)
    if not stale:
        kvm_tdp_mmu_map(kvm, address, pfn)
    spin_unlock(kvm.mmu_lock)
    kvm_release_page(pfn.pfn)
    if stale:
        note("invalidated meanwhile: the guest tries again")
    return RET_PF_RETRY if stale else RET_PF_FIXED


@kernel_function("arch/x86/kvm/mmu/tdp_mmu.c", quiet=True)
def kvm_tdp_mmu_map(kvm: Kvm, address: int, pfn: Pfn) -> None:
    """Write the entry that maps a frame for the guest; the caller holds ``mmu_lock``."""
    kvm.sptes[address].write(Spte(pfn.pfn, pfn.writable))


@kernel_function("arch/x86/kvm/mmu/mmu.c", quiet=True)
def kvm_mmu_seq_begin(kvm: Kvm) -> None:
    """Remember the sequence, before anything is looked up."""
    kvm_mmu_seq_look(kvm)


def kvm_mmu_seq_look(kvm: Kvm) -> None:
    """Remember the sequence."""
    kvm.current_seq.update(_look, current_task())


@kernel_function("arch/x86/kvm/mmu/mmu.c", quiet=True)
def kvm_mmu_seq_checked(kvm: Kvm) -> None:
    """The frame was looked up: the sequence was remembered before that."""


@kernel_function("arch/x86/kvm/mmu/mmu.c", quiet=True)
def kvm_mmu_faultin_pfn(kvm: Kvm, address: int, write: bool) -> Pfn | PfnError:
    """Find the frame, first without waiting; the guest has no asynchronous page faults."""
    pfn = hva_to_pfn(kvm, address, write, Foll.NOWAIT)
    if pfn is not PfnError.NEEDS_IO:
        return pfn
    return hva_to_pfn(kvm, address, write, kvm_waiting_foll())


@kernel_function("arch/x86/kvm/mmu/mmu.c", quiet=True)
def kvm_waiting_foll() -> Foll:
    """How KVM waits: any signal may end it."""
    return Foll.INTERRUPTIBLE


@kernel_function("arch/x86/kvm/mmu/mmu.c", quiet=True)
def is_page_fault_stale(kvm: Kvm) -> bool:
    """Tell, under ``mmu_lock``, whether the frame may have gone away since it was looked up."""
    with atomic():
        unchanged = kvm.current_seq.update(_unchanged, current_task())
        return not unchanged or kvm.in_progress.read() > 0


@kernel_function("arch/x86/kvm/mmu/mmu.c", quiet=True)
def kvm_handle_error_pfn(error: PfnError) -> int:
    """Say what becomes of the CPU."""
    note(error.value)
    if error is PfnError.SIGPENDING:
        return -EINTR
    if error is PfnError.HWPOISON:
        raise NotModelled("SIGBUS for a guest that uses a poisoned page")
    return -EFAULT
