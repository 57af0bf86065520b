"""A guest, and a host that takes its memory away: KVM's mmu notifier.

The guest has a page table of its own. It holds no reference to what it maps: whoever takes a page
out of the host's page table tells KVM before, and KVM takes it out of the guest's.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.linux import Kernel
from refault.linux.arch.arm64.kvm.mmu import kvm_arch_vcpu_ioctl_run as run_on_arm64
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.linux.mmu_notifier import MmuNotifier, MmuNotifierOps
from refault.linux.include.uapi.errno import EAGAIN
from refault.linux.mm.oom_kill import oom_reap_task_mm
from refault.linux.syscalls import kvm_run
from refault.linux.user import Page
from refault.scenarios.api import scenario

KVM = "virt/kvm/kvm_main.c and arch/x86/kvm/mmu/mmu.c of 6.18: a story of our own"


def _guest(k: Kernel, take: Callable[[Page], object], *, runs: int = 2) -> None:
    """A guest uses a page that ``take`` takes away meanwhile."""
    page = k.mm().mmap(contents="page")
    vm = k.kvm(page)

    @k.thread
    def vcpu() -> None:
        for _ in range(runs):
            kvm_run(vm, page, 1)

    @k.thread
    def host() -> None:
        take(page)


STALE = {
    "": "holds",
    "without kvm_retries_stale_faults": "use after free",
    "with kvm_seq_after_lookup": "use after free",
}


@scenario(source=KVM, expect=STALE)
def guest_and_dontneed(k: Kernel) -> None:
    """A guest never uses a page that MADV_DONTNEED has given back."""
    _guest(k, Page.dontneed)


@scenario(source=KVM, expect={"": "holds", "without kvm_retries_stale_faults": "use after free"})
def guest_and_reclaim(k: Kernel) -> None:
    """Nor one that was swapped out."""
    _guest(k, Page.reclaim)


@scenario(source=KVM, expect={"": "holds", "without kvm_retries_stale_faults": "use after free"})
def guest_and_migration(k: Kernel) -> None:
    """Nor one whose contents are in another frame by now."""
    _guest(k, Page.migrate)


PAIRING = "Sean Christopherson, 2021; found in the source: a story of our own"


@scenario(source=PAIRING, expect={"": "holds", "without notifier_range_pairing": "livelock"})
def reaper_gives_up_and_guest_runs(k: Kernel) -> None:
    """When the OOM reaper gives up half way, a guest of that process can still fault.

    One notifier has been told that an invalidation begins; the next one would have to wait, and
    the reaper must not.
    """
    page = k.mm().mmap(contents="page")
    MmuNotifier(
        page.mm, "busy driver", MmuNotifierOps(invalidate_range_start=lambda range: -EAGAIN)
    )
    vm = k.kvm(page)

    @k.thread
    def oom_reaper() -> None:
        oom_reap_task_mm(page.mm)

    @k.thread
    def vcpu() -> None:
        kvm_run(vm, page, 1)


@scenario(
    source="David Matlack, 2023: KVM: arm64: Retry fault if vma_lookup() results become invalid",
    expect={"": "holds", "without kvm_arm64_vma_lookup": "use after free"},
)
def guest_and_a_mapping_that_shrinks(k: Kernel) -> None:
    """A guest on arm64 reaches no more than what is mapped, however large that was before.

    The mapping is looked up, and says that a block is to be mapped; then another one takes its
    place that is a page, and cannot be joined with what is left of the first.
    """
    process = k.mm()
    page = process.mmap(contents="page", pages=2)
    process.spare(2)
    vm = k.kvm(page)

    @k.thread
    def vcpu() -> None:
        run_on_arm64(vm, page.address, 1)
        run_on_arm64(vm, page[1].address, None)

    @k.thread
    def host() -> None:
        page.mmap_fixed(prot=Vm.READ | Vm.WRITE)
