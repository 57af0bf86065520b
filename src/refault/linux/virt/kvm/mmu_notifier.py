"""What KVM does when the host's page table changes (``virt/kvm/kvm_main.c``).

The guest's entries for a range go before the host's do. Between the beginning and the end of an
invalidation no new ones are made, and a fault that looked up its frame before the end looks again:
the sequence has moved on.
"""

from __future__ import annotations

from refault.explore import Violation, note
from refault.linux.include.linux.mmu_notifier import (
    MmuNotifier,
    MmuNotifierOps,
    MmuNotifierRange,
)
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.modelled import kernel_function
from refault.linux.virt.kvm.kvm_host import Kvm


def kvm_init_mmu_notifier(kvm: Kvm) -> MmuNotifier:
    """Have a machine told of what becomes of the memory that it is made of."""
    ops = MmuNotifierOps(
        release=lambda: kvm_flush_shadow_all(kvm),
        invalidate_range_start=lambda range: kvm_mmu_notifier_invalidate_range_start(kvm, range),
        invalidate_range_end=lambda range: kvm_mmu_notifier_invalidate_range_end(kvm, range),
    )
    return MmuNotifier(kvm.mm, f"{kvm}.mmu_notifier", ops)


def _up(count: int) -> tuple[int, None]:
    return count + 1, None


def _down(count: int) -> tuple[int, None]:
    if not count:
        raise Violation("BUG", "mmu_invalidate_in_progress runs below zero")
    return count - 1, None


@kernel_function("virt/kvm/kvm_main.c", label=lambda kvm, range: "kvm: invalidate_range_start")
def kvm_mmu_notifier_invalidate_range_start(kvm: Kvm, range: MmuNotifierRange) -> int:
    """Count it, and take the guest's entries away; never fails."""
    spin_lock(kvm.mmu_lock)
    kvm_mmu_invalidate_begin(kvm)
    kvm_unmap_gfn_range(kvm, range.start, range.end)
    spin_unlock(kvm.mmu_lock)
    return 0


@kernel_function("virt/kvm/kvm_main.c", quiet=True)
def kvm_mmu_invalidate_begin(kvm: Kvm) -> None:
    """From here on no frame that is looked up may be mapped."""
    kvm.in_progress.update(_up)


@kernel_function("arch/x86/kvm/mmu/mmu.c", quiet=True)
def kvm_unmap_gfn_range(kvm: Kvm, start: int, end: int) -> None:
    """Zap what a range of the host maps into the guest, and flush."""
    for address, spte in kvm.sptes.items():
        if start <= address < end and spte.read() is not None:
            spte.write(None)
            note("the guest's entry is gone")


@kernel_function("virt/kvm/kvm_main.c", label=lambda kvm, range: "kvm: invalidate_range_end")
def kvm_mmu_notifier_invalidate_range_end(kvm: Kvm, range: MmuNotifierRange) -> None:
    """Let the guest fault again; frames that were looked up before this are stale."""
    spin_lock(kvm.mmu_lock)
    kvm_mmu_invalidate_end(kvm)
    spin_unlock(kvm.mmu_lock)


@kernel_function("virt/kvm/kvm_main.c", quiet=True)
def kvm_mmu_invalidate_end(kvm: Kvm) -> None:
    """Move the sequence on, then take back the count."""
    kvm.current_seq.write(())
    kvm.in_progress.update(_down)


@kernel_function("arch/x86/kvm/mmu/mmu.c")
def kvm_flush_shadow_all(kvm: Kvm) -> None:
    """The process ends: the guest has no memory any more."""
    spin_lock(kvm.mmu_lock)
    kvm_unmap_gfn_range(kvm, 0, 1 << 63)
    spin_unlock(kvm.mmu_lock)
