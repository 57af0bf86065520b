"""``KVM_RUN`` (``arch/x86/kvm/x86.c``): in and out of the guest."""

from __future__ import annotations

from refault.explore import atomic, restart
from refault.linux.arch.x86.kvm.mmu.mmu import kvm_mmu_page_fault
from refault.linux.include.linux.page import frame, live
from refault.linux.include.linux.pgtable import ZERO_PFN
from refault.linux.include.linux.sched.signal import signal_pending
from refault.linux.include.uapi.errno import EINTR
from refault.linux.modelled import current, kernel_function
from refault.linux.virt.kvm.kvm_host import Exit, Kvm


@kernel_function("arch/x86/kvm/x86.c", label="KVM_RUN")
def kvm_arch_vcpu_ioctl_run(
    kvm: Kvm, address: int, value: int | None, code: int | None = None
) -> Exit:
    """Run a guest that loads from, or stores a ``value`` to, one address; then it exits.

    The instruction is fetched from the page at ``code``, or from nowhere.

    A signal ends it before the guest is entered (again), with -EINTR. One that was handled just
    before the call is heard of only if its handler has set ``immediate_exit``.
    """
    if kvm.immediate_exit.read():
        return Exit(-EINTR, "KVM_EXIT_INTR")
    while True:
        restart()
        if xfer_to_guest_mode_handle_work():
            return Exit(-EINTR, "KVM_EXIT_INTR")
        if code is not None and guest_access(kvm, code, None) is None:
            ret = kvm_mmu_page_fault(kvm, code, False)
        else:
            seen = guest_access(kvm, address, value)
            if seen is not None:
                return Exit(0, "KVM_EXIT_MMIO", seen)
            ret = kvm_mmu_page_fault(kvm, address, value is not None)
        if ret < 0:
            return Exit(ret, "KVM_EXIT_INTR" if ret == -EINTR else "KVM_EXIT_UNKNOWN")


@kernel_function("kernel/entry/virt.c", quiet=True)
def xfer_to_guest_mode_handle_work() -> bool:
    """Tell whether something is to be done in user mode before the guest runs."""
    return signal_pending(current())


def guest_access(kvm: Kvm, address: int, value: int | None) -> int | None:
    """What the hardware does for the guest, in one step; None for a fault of the guest.

    A frame that has been given back must not be within its reach.
    """
    with atomic():
        spte = kvm.sptes[address].read()
        if spte is None or (value is not None and not spte.write):
            return None
        if spte.pfn != ZERO_PFN:
            live(frame(spte.pfn).folio.read())
        if value is not None:
            frame(spte.pfn).data.write(value)
            return value
        return 0 if spte.pfn == ZERO_PFN else frame(spte.pfn).data.read()
