"""From an address of the host to a frame for the guest (``virt/kvm/kvm_main.c``).

Since 6.2 the slow way is open to signals of any kind (``FOLL_INTERRUPTIBLE``), and what GUP says of
one is kept apart from a fault that cannot be resolved. Before, a CPU of a guest that waited for a
page in userfaultfd could only be killed.
"""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.page import folio_put
from refault.linux.include.linux.pgtable import ZERO_PFN
from refault.linux.include.uapi.errno import EAGAIN, EHWPOISON, EINTR
from refault.linux.mm.gup.fast import get_user_pages_fast_only
from refault.linux.mm.gup.pages import get_user_pages_unlocked, put_page
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import kernel_function
from refault.linux.virt.kvm.kvm_host import Kvm, Pfn, PfnError


@kernel_function("virt/kvm/kvm_main.c", label="hva_to_pfn")
def hva_to_pfn(kvm: Kvm, hva: int, write: bool, foll: Foll) -> Pfn | PfnError:
    """Return the frame of an address, with a reference to it, or why there is none.

    The fast way asks for a frame that can be written, also for a read: what is mapped writable
    already need not fault again for the first write.
    """
    fast = get_user_pages_fast_only(kvm.mm, hva, 1, Foll.WRITE)
    if fast.ret == 1:
        return Pfn(fast.pfns[0], True)
    return hva_to_pfn_slow(kvm, hva, write, foll)


@kernel_function("virt/kvm/kvm_main.c", quiet=True)
def hva_to_pfn_slow(kvm: Kvm, hva: int, write: bool, foll: Foll) -> Pfn | PfnError:
    """Ask GUP, and tell its errors apart; what was read may turn out to be writable by now."""
    flags = foll | Foll.HWPOISON | Foll.HONOR_NUMA_FAULT | (Foll.WRITE if write else Foll.NONE)
    found = get_user_pages_unlocked(kvm.mm, hva, 1, flags)
    if found.ret == 1:
        return Pfn(found.pfns[0], True) if write else _writable(kvm, hva, found.pfns[0])
    if is_sigpending(found.ret):
        return PfnError.SIGPENDING
    if found.ret == -EHWPOISON:
        return PfnError.HWPOISON
    return _by_vma(kvm, hva, write, foll)


def _writable(kvm: Kvm, hva: int, pfn: int) -> Pfn:
    again = get_user_pages_fast_only(kvm.mm, hva, 1, Foll.WRITE)
    if again.ret != 1:
        return Pfn(pfn, False)
    put_page(pfn)
    return Pfn(again.pfns[0], True)


@kernel_function("virt/kvm/kvm_main.c", quiet=True)
def is_sigpending(npages: int) -> bool:
    """Tell whether GUP gave up for a signal: -EAGAIN is a fatal one, met at mmap_lock."""
    return npages in (-EINTR, -EAGAIN)


def _by_vma(kvm: Kvm, hva: int, write: bool, foll: Foll) -> PfnError:
    """Say what kind of failure it is, from the mapping."""
    mmap_read_lock(kvm.mm)
    vma = kvm.mm.find_vma(hva)
    needed = Vm.WRITE if write else Vm.READ
    valid = vma is not None and bool(vma.vm_flags.read() & needed)
    mmap_read_unlock(kvm.mm)
    return PfnError.NEEDS_IO if foll & Foll.NOWAIT and valid else PfnError.FAULT


@kernel_function("virt/kvm/kvm_main.c", quiet=True)
def kvm_release_page(pfn: int) -> None:
    """Drop the reference: what keeps the entry right from here on are the notifiers."""
    if pfn != ZERO_PFN:
        folio_put(pfn)
