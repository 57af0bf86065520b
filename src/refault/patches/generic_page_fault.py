"""One ``generic_page_fault()`` for all architectures, as Peter Xu sketched it.

The helper takes and releases the locks, finds the VMA, calls ``handle_mm_fault()``, looks for
signals and retries; it never says "retry" and never returns with a lock held. What it returns is
what to do rather than what happened. The sketch leaves off with dots; to be whole it needs two
more answers, out of memory and SIGBUS, and of these the helper deals with the first itself.

What differs between architectures is passed in: which VMAs allow an access, and which stacks grow.
An architecture that wants more than that has to say so in ``Served``; the patch gives none of them
more than whether it tells user space of poison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from refault.explore import restart
from refault.linux.arch import ARCHITECTURES
from refault.linux.arch.effects import (
    force_sig_fault,
    force_sig_mceerr,
    pagefault_out_of_memory,
)
from refault.linux.arch.entry import DROPPED, HOME, InFlight, PageFault, interrupted
from refault.linux.arch.parameters import POISON, Do
from refault.linux.arch.ptrace import Access, End, PtRegs
from refault.linux.arch.refusal import refused
from refault.linux.arch.stack import find_and_lock
from refault.linux.arch.table import entry
from refault.linux.include.linux.mm_types import FaultFlag, MmStruct, VmFault
from refault.linux.include.uapi.siginfo import SiCode
from refault.linux.include.uapi.signal import SIGBUS, SIGSEGV
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import lock_vma_under_rcu, mmap_read_unlock, vma_end_read
from refault.patches.patch import Patch


class PageFaultRetval(Enum):
    """``enum page_fault_retval``: what the architecture should do."""

    DONE = "completed"
    BAD_AREA = "no VMA, or a stack that does not grow"
    ACCESS_ERR = "the VMA forbids it"
    KERN_FIXUP = "look in the exception table"
    HWPOISON = "poisoned page"
    SIGNAL = "a signal is pending"
    SIGBUS = "SIGBUS"
    SIGSEGV = "VM_FAULT_SIGSEGV"


@dataclass(frozen=True)
class Served:
    """What an architecture asks for beyond its masks and stack rule.

    ``segv`` is the code of VM_FAULT_SIGSEGV, which is that of a bad area if nothing is said;
    ``kernel_sigbus`` sends SIGBUS in kernel mode as well; ``poison`` says what poison is to an
    architecture that cannot tell user space of it.
    """

    segv: SiCode = SiCode.SEGV_MAPERR
    kernel_sigbus: bool = False
    poison: Do = Do.SIGBUS

    @property
    def asks(self) -> tuple[str, ...]:
        """What it asks for, in words."""
        asked = {
            f"SIGSEGV is {self.segv.value}": self.segv is not SiCode.SEGV_MAPERR,
            "SIGBUS in kernel mode": self.kernel_sigbus,
            "poison is SIGSEGV": self.poison is Do.SIGSEGV,
        }
        return tuple(text for text, is_asked in asked.items() if is_asked)

    def __str__(self) -> str:
        return ", ".join(self.asks)


Answer = tuple[PageFaultRetval, VmFault]
"""What to do, and the result of ``handle_mm_fault()`` for the size of what is poisoned."""


def generic_page_fault(arch: PageFault, f: InFlight) -> Answer:
    """Handle a fault up to the point where it takes the architecture to go on."""
    answer: InFlight | Answer = f
    if arch.vma_lock and f.regs.user:
        answer = _under_vma_lock(arch, f)
    while isinstance(answer, InFlight):
        restart(answer.flags, answer.fault)
        answer = _under_mmap_lock(arch, answer)
    return answer


def _under_vma_lock(arch: PageFault, f: InFlight) -> InFlight | Answer:
    if not lock_vma_under_rcu(f.mm, f.access.address):
        return f
    vma = f.mm.find_vma(f.access.address)
    assert vma is not None, "a VMA that is locked stays where it is"
    if not arch.allows(f, vma):
        vma_end_read(vma)
        return PageFaultRetval.ACCESS_ERR, VmFault.NONE
    fault = handle_mm_fault(vma, f.access.address, f.flags | FaultFlag.VMA_LOCK)
    if not fault & DROPPED:
        vma_end_read(vma)
    if not fault & VmFault.RETRY:
        return classify(fault, f.regs), fault
    if interrupted(fault, f.regs):
        return PageFaultRetval.SIGNAL, fault
    tried = FaultFlag.TRIED if fault & VmFault.MAJOR else FaultFlag.NONE
    return f._replace(flags=f.flags | tried, fault=fault)


def _under_mmap_lock(arch: PageFault, f: InFlight) -> InFlight | Answer:
    vma = find_and_lock(arch.find, arch.stack, f.mm, f.access, f.regs, bool(f.fault))
    if vma is None:
        return _in_user_mode(PageFaultRetval.BAD_AREA, f.regs), VmFault.NONE
    if not arch.allows(f, vma):
        mmap_read_unlock(f.mm)
        return _in_user_mode(PageFaultRetval.ACCESS_ERR, f.regs), VmFault.NONE
    fault = handle_mm_fault(vma, f.access.address, f.flags)
    if interrupted(fault, f.regs):
        return _in_user_mode(PageFaultRetval.SIGNAL, f.regs), fault
    if fault & VmFault.RETRY and not fault & VmFault.COMPLETED:
        return f._replace(flags=f.flags | FaultFlag.TRIED, fault=fault)
    if not fault & DROPPED:
        mmap_read_unlock(f.mm)
    return classify(fault, f.regs), fault


def _in_user_mode(answer: PageFaultRetval, regs: PtRegs) -> PageFaultRetval:
    return answer if regs.user else PageFaultRetval.KERN_FIXUP


def classify(fault: VmFault, regs: PtRegs) -> PageFaultRetval:
    """Say what a result that is no retry calls for; no lock is held."""
    if fault & VmFault.COMPLETED or not fault & VmFault.ERROR:
        return PageFaultRetval.DONE
    if not regs.user:
        return PageFaultRetval.KERN_FIXUP
    if fault & VmFault.OOM:
        pagefault_out_of_memory()
        return PageFaultRetval.DONE
    if fault & POISON:
        return PageFaultRetval.HWPOISON
    return PageFaultRetval.SIGBUS if fault & VmFault.SIGBUS else PageFaultRetval.SIGSEGV


def react(arch: PageFault, served: Served, f: InFlight, answer: Answer) -> End:
    """Do what the helper has said: all that is left to the architecture."""
    retval, fault = answer
    address = f.access.address
    if retval is PageFaultRetval.KERN_FIXUP:
        if served.kernel_sigbus and fault & VmFault.SIGBUS and not fault & VmFault.RETRY:
            force_sig_fault(SIGBUS, SiCode.BUS_ADRERR, address)
        return arch.no_context(f)
    poison = retval is PageFaultRetval.HWPOISON
    if poison and arch.tells_poison():
        force_sig_mceerr(fault, address)
    elif retval is PageFaultRetval.SIGBUS or (poison and served.poison is Do.SIGBUS):
        force_sig_fault(SIGBUS, SiCode.BUS_ADRERR, address)
    elif retval is PageFaultRetval.BAD_AREA:
        force_sig_fault(SIGSEGV, SiCode.SEGV_MAPERR, address)
    elif retval is PageFaultRetval.ACCESS_ERR:
        pkey = SiCode.SEGV_PKUERR if f.access.pkey else SiCode.SEGV_ACCERR
        force_sig_fault(SIGSEGV, pkey, address)
    elif poison or retval is PageFaultRetval.SIGSEGV:
        force_sig_fault(SIGSEGV, served.segv, address)
    return End.RESUME


def served_by(name: str, served: Served) -> Callable[[MmStruct, Access, PtRegs], End]:
    """Return an entry for an architecture that uses the helper."""

    def handle(mm: MmStruct, access: Access, regs: PtRegs) -> End:
        arch = entry(name)
        flags = PageFault.flags(arch, access, regs) | arch.flags(access, regs)
        f = InFlight(mm, access, regs, flags)
        end = arch.before(f)
        if end is None and refused(arch.disabled):
            end = arch.refuse(f)
        if end is not None:
            return end
        return react(arch, served, f, generic_page_fault(arch, f))

    return handle


def key(name: str) -> str:
    """What patches call the entry of an architecture."""
    arch = entry(name)
    return arch.function if name == HOME else f"{arch.file}:{arch.function}"


def replacing(served: Served) -> dict[str, Callable[..., Any]]:
    """Return the entries of all architectures, asking for the same."""
    return {key(name): served_by(name, served) for name in ARCHITECTURES}


generic_page_fault_patch = Patch(
    name="generic_page_fault",
    title="mm: one generic_page_fault() for the entries of all architectures",
    kind="proposal",
    source="LKML 2023-02-01, Peter Xu and Al Viro, Re: [RFC][PATCHSET] VM_FAULT_RETRY fixes",
    replaces=replacing(Served()),
)
