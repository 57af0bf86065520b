"""KVM and GUP before signals that are not fatal could end the wait for a page (6.2)."""

from __future__ import annotations

from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.modelled import current
from refault.patches.patch import Patch

SERIES = "Peter Xu, 2022: kvm/mm: Allow GUP to respond to non fatal signals"


def _fatal_only(foll: Foll) -> bool:
    return fatal_signal_pending(current())


gup_interruptible = Patch(
    name="gup_interruptible",
    title="mm/gup: Add FOLL_INTERRUPTIBLE",
    kind="fix",
    commit="93c5c61d9e58",
    since="6.2",
    source=SERIES,
    replaces={"gup_signal_pending": _fatal_only},
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
