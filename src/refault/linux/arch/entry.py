"""The page-fault entry of an architecture: parameters, and one skeleton that reads them.

Every architecture's handler does the same things: refuse where it must not run, find and lock the
VMA, look whether it allows the access, call ``handle_mm_fault()``, and make of its result a return
to the instruction, a signal or a fixup. They differ in which of these they do, in what order, and
in what they make of an error. ``PageFault`` names the differences; an architecture that does
something no parameter says has a method of its own in place of one here.

``order`` is what is tested after ``handle_mm_fault()`` under mmap_lock, a letter each: (S)ignal
pending, (C)ompleted, (R)etry, (U)nlock, (E)rror; a small r tests for a retry only where there is no
error. Where E comes before U the error path gives the lock back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

from refault.explore import Violation, restart
from refault.linux.arch.effects import (
    config_memory_failure,
    die,
    force_sig_fault,
    force_sig_mceerr,
    pagefault_out_of_memory,
)
from refault.linux.arch.masks import Mask, accessible
from refault.linux.arch.parameters import POISON, SEGV_FIRST, Do, Errors, Kernel
from refault.linux.arch.ptrace import Access, End, PtRegs
from refault.linux.arch.refusal import Disabled, refused
from refault.linux.arch.stack import Find, StackRule, find_and_lock
from refault.linux.include.linux.mm_types import FaultFlag, MmStruct, VmArea, VmFault
from refault.linux.include.linux.sched.signal import fatal_signal_pending, fault_signal_pending
from refault.linux.include.uapi.siginfo import SiCode, SigInfo
from refault.linux.include.uapi.signal import SIGBUS, SIGSEGV
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import lock_vma_under_rcu, mmap_read_unlock, vma_end_read
from refault.linux.modelled import current, kernel_function

HOME = "x86"
"""The architecture whose functions go by their plain names."""

MAPERR, ACCERR = SiCode.SEGV_MAPERR, SiCode.SEGV_ACCERR
DROPPED = VmFault.RETRY | VmFault.COMPLETED


def interrupted(fault: VmFault, regs: PtRegs) -> bool:
    """``fault_signal_pending()`` of a handler's result and the registers."""
    return fault_signal_pending(fault, regs.user)


@kernel_function("arch/x86/mm/fault.c", quiet=True)
def fault_tried(flags: FaultFlag) -> FaultFlag:
    """What the next attempt of a fault is allowed, after one that was to be retried."""
    return flags | FaultFlag.TRIED


class InFlight(NamedTuple):
    """The local variables of a handler: what happened, and how far it has come."""

    mm: MmStruct
    access: Access
    regs: PtRegs
    flags: FaultFlag
    code: SiCode = MAPERR
    fault: VmFault = VmFault.NONE
    vma: VmArea | None = None


@dataclass(frozen=True)
class PageFault:
    """The fault entry of an architecture.

    ``file`` and ``function`` are the kernel's. ``vma_lock`` tries the lock of the VMA first, in
    user mode; ``find`` is how the VMA is found under mmap_lock, ``mask`` which VMAs allow an
    access, ``stack`` which a stack grows for. ``disabled`` says when no fault may be handled, and
    ``disabled_signal`` whether user mode then gets a signal rather than an oops. ``errors`` are
    looked at in their order, then comes ``otherwise``. ``one_code`` is a variable for the code of
    SIGSEGV that is set before the first attempt and once a VMA is found, never back: it goes stale
    when a retry finds no VMA. ``segv`` is the code for VM_FAULT_SIGSEGV, None for that variable.
    ``mceerr`` tells user space of poison, ``mceerr_always`` also without CONFIG_MEMORY_FAILURE;
    ``kernel_sigbus`` sends SIGBUS in kernel mode as well.
    ``error_bits`` are those that lead to the error path. ``looks_once`` is a kernel that reaches
    user memory by looking the page up, and gives up if it is not there after one fault.
    ``storage`` is where ptrace finds the details. ``until`` is the version without the
    architecture.
    """

    arch: str
    file: str
    function: str = "do_page_fault"
    find: Find = Find.LMFV
    vma_lock: bool = False
    order: str = "SCERU"
    mask: Mask = accessible
    stack: StackRule | None = None
    disabled: Disabled = Disabled.FAULTHANDLER
    disabled_signal: bool = False
    kernel: Kernel = Kernel.EACH
    errors: Errors = SEGV_FIRST
    otherwise: Do = Do.BUG
    one_code: bool = True
    segv: SiCode | None = None
    mceerr: bool = False
    mceerr_always: bool = False
    kernel_sigbus: bool = False
    error_bits: VmFault = VmFault.ERROR
    looks_once: bool = False
    storage: str = ""
    until: str = ""

    def handle(self, mm: MmStruct, access: Access, regs: PtRegs) -> End:
        """Handle a fault, from the exception to the return to the instruction."""
        f = InFlight(mm, access, regs, self.flags(access, regs))
        end = self.before(f)
        if end is None and refused(self.disabled):
            end = self.refuse(f)
        if end is not None:
            return end
        step = self.under_vma_lock(f) if self.vma_lock and regs.user else f
        while not isinstance(step, End):
            f = step
            restart(f.flags, f.code, f.fault)
            step = self.under_mmap_lock(f)
        return step

    def flags(self, access: Access, regs: PtRegs) -> FaultFlag:
        """What ``handle_mm_fault()`` is asked."""
        user = FaultFlag.USER if regs.user else FaultFlag.NONE
        return FaultFlag.DEFAULT | user | access.kind.flag

    def before(self, f: InFlight) -> End | None:
        """Look for what is no fault on user memory, or can never be handled."""
        return None

    def refuse(self, f: InFlight) -> End:
        """Give up because no fault may be handled here."""
        return self.bad_area(f) if self.disabled_signal else self.no_context(f)

    def allows(self, f: InFlight, vma: VmArea) -> bool:
        """Look whether the VMA allows the access."""
        return self.mask(vma.vm_flags.read(), f.access)

    def under_vma_lock(self, f: InFlight) -> InFlight | End:
        """Try it under the lock of the VMA; what is left goes on under mmap_lock."""
        if not lock_vma_under_rcu(f.mm, f.access.address):
            return f
        vma = f.mm.find_vma(f.access.address)
        assert vma is not None, "a VMA that is locked stays where it is"
        if not self.allows(f, vma):
            vma_end_read(vma)
            return self.denied(f, vma)
        fault = handle_mm_fault(vma, f.access.address, f.flags | FaultFlag.VMA_LOCK)
        if not fault & DROPPED:
            vma_end_read(vma)
        if not fault & VmFault.RETRY:
            failed = fault & self.error_bits
            return self.error(f._replace(fault=fault)) if failed else End.RESUME
        if interrupted(fault, f.regs):
            return End.RESUME if f.regs.user else self.piece("killed", f)
        return f._replace(flags=fault_tried(f.flags) if fault & VmFault.MAJOR else f.flags)

    def under_mmap_lock(self, f: InFlight) -> InFlight | End:
        """Make one attempt under mmap_lock."""
        again = bool(f.fault)
        vma = find_and_lock(self.find, self.stack, f.mm, f.access, f.regs, again)
        if vma is None:
            return self.not_found(f)
        f = f._replace(vma=vma, code=ACCERR if self.one_code else f.code)
        if not self.allows(f, vma):
            mmap_read_unlock(f.mm)
            return self.denied(f, vma)
        return self.after(f._replace(fault=handle_mm_fault(vma, f.access.address, f.flags)))

    def after(self, f: InFlight) -> InFlight | End:
        """Judge the result; returns to the instruction, or what to try again with."""
        locked = True
        for test in self.order:
            if test == "S" and interrupted(f.fault, f.regs):
                return End.RESUME if f.regs.user else self.piece("killed", f)
            if test == "C" and f.fault & VmFault.COMPLETED:
                return End.RESUME
            if test == "R" or (test == "r" and not f.fault & VmFault.ERROR):
                if f.fault & VmFault.RETRY:
                    return f._replace(flags=fault_tried(f.flags))
            elif test == "U":
                mmap_read_unlock(f.mm)
                locked = False
            elif test == "E" and f.fault & self.error_bits:
                if locked:
                    mmap_read_unlock(f.mm)
                return self.error(f)
        return End.RESUME

    def piece(self, name: str, f: InFlight) -> End:
        """Run a piece of the handler; some can be replaced by patches, under that name."""
        known = PIECES.get((self.arch, name))
        return known(f) if known else cast("End", getattr(self, name)(f))

    def killed(self, f: InFlight) -> End:
        """Answer a fatal signal that interrupted a fault of kernel mode."""
        return self.no_context(f, SigInfo(SIGBUS, SiCode.BUS_ADRERR, f.access.address))

    def error(self, f: InFlight) -> End:
        """Answer an error; no lock is held."""
        if not f.regs.user and (
            self.kernel is Kernel.FIRST
            or (self.kernel is Kernel.KILLED and fatal_signal_pending(current()))
        ):
            return self.no_context(f)
        for bits, action in self.errors:
            if f.fault & bits:
                return self.act(f, action)
        return self.act(f, self.otherwise)

    def act(self, f: InFlight, action: Do) -> End:
        """Do what an error calls for."""
        if action is Do.BUG:
            raise Violation("BUG", f"{self.arch} does not expect {f.fault!r}")
        if action is Do.SIGBUS:
            poison = f.fault & POISON and not f.fault & VmFault.SIGBUS
            return self.piece("poisoned" if poison else "sigbus", f)
        if action is Do.SIGSEGV:
            return self.piece("sigsegv", f)
        if not f.regs.user:
            return self.no_context(f, SigInfo(SIGSEGV, MAPERR, f.access.address))
        pagefault_out_of_memory()
        return End.RESUME

    def sigbus(self, f: InFlight) -> End:
        """Answer VM_FAULT_SIGBUS, and poison where it is told of."""
        if f.regs.user or self.kernel_sigbus:
            if f.fault & POISON and self.tells_poison():
                force_sig_mceerr(f.fault, f.access.address)
            else:
                force_sig_fault(SIGBUS, SiCode.BUS_ADRERR, f.access.address)
        if f.regs.user:
            return End.RESUME
        return self.no_context(f, SigInfo(SIGBUS, SiCode.BUS_ADRERR, f.access.address))

    def tells_poison(self) -> bool:
        """Whether user space is told that it was poison."""
        return self.mceerr and (self.mceerr_always or config_memory_failure())

    def poisoned(self, f: InFlight) -> End:
        """Answer poison, where it is known."""
        return self.sigbus(f)

    def sigsegv(self, f: InFlight) -> End:
        """Answer VM_FAULT_SIGSEGV."""
        return self.bad_area(f._replace(code=self.segv or f.code))

    def not_found(self, f: InFlight) -> End:
        """Answer an address that nothing maps; no lock is held."""
        return self.bad_area(f)

    def denied(self, f: InFlight, vma: VmArea) -> End:
        """Answer an access that the VMA does not allow; no lock is held any more."""
        return self.bad_area(f._replace(code=ACCERR))

    def bad_area(self, f: InFlight) -> End:
        """Send SIGSEGV with the code at hand; in kernel mode look for a fixup."""
        if not f.regs.user:
            return self.no_context(f, SigInfo(SIGSEGV, f.code, f.access.address))
        force_sig_fault(SIGSEGV, f.code, f.access.address)
        return End.RESUME

    def no_context(self, f: InFlight, signal: SigInfo | None = None) -> End:
        """Look in the exception table; where it has nothing, that is the end.

        ``signal`` is what user mode would get for the same.
        """
        if f.regs.extable:
            return End.FIXUP
        return die(f"{self.arch}: a fault at {f.access.address:#x} that nothing is prepared for")


class Registered(NamedTuple):
    """An architecture's entry, and the modelled function that patches can replace."""

    entry: PageFault
    call: Callable[[MmStruct, Access, PtRegs], End]


ENTRIES: dict[str, Registered] = {}
"""The entries of all architectures that have been imported; ``table`` imports them all."""

PIECES: dict[tuple[str, str], Callable[[InFlight], End]] = {}
"""Pieces of entries that patches can replace, by architecture and method."""


def register(
    entry: PageFault, pieces: tuple[str, ...] = ()
) -> Callable[[MmStruct, Access, PtRegs], End]:
    """Make the modelled function of an entry, and those of its pieces; return the first."""

    def handle(mm: MmStruct, access: Access, regs: PtRegs) -> End:
        return entry.handle(mm, access, regs)

    handle.__name__ = entry.function
    handle.__doc__ = f"Handle a page fault on {entry.arch}."
    call = kernel_function(entry.file, quiet=True, qualified=entry.arch != HOME)(handle)
    ENTRIES[entry.arch] = Registered(entry, call)
    for piece in pieces:
        PIECES[entry.arch, piece] = _modelled(entry, piece)
    return call


def _modelled(entry: PageFault, piece: str) -> Callable[[InFlight], End]:
    def run(f: InFlight) -> End:
        return cast("End", getattr(entry, piece)(f))

    run.__name__ = piece
    run.__doc__ = getattr(PageFault, piece).__doc__
    return kernel_function(entry.file, quiet=True, qualified=True)(run)
