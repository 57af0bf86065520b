"""The #PF handler (``arch/x86/mm/fault.c``).

The processor's error code says what was wrong. Most of what this handler refuses before it takes a
lock are bugs: a fetch by the kernel from user memory, reserved bits in a page table, an access of
the kernel outside of ``stac`` and ``clac``. The instructions between these two are taken to be
those with an entry in the exception table.

Addresses of the kernel's half do not occur, so ``do_kern_addr_fault()`` with its spurious faults is
left out, as are the errata.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.explore import note
from refault.linux.arch.effects import die
from refault.linux.arch.entry import ACCERR, ENTRIES, InFlight, PageFault, Registered, register
from refault.linux.arch.masks import ACCESS
from refault.linux.arch.parameters import BUS_FIRST, Kernel
from refault.linux.arch.ptrace import USER, Access, End, PtRegs
from refault.linux.arch.x86.entry.vsyscall.vsyscall_64 import emulate_vsyscall, is_vsyscall_vaddr
from refault.linux.arch.x86.include.asm.trap_pf import X86PfErrorCode as Pf
from refault.linux.arch.x86.include.asm.trap_pf import error_code
from refault.linux.include.linux.mm_types import FaultFlag, MmStruct, Vm, VmArea
from refault.linux.include.uapi.siginfo import SiCode, SigInfo
from refault.linux.modelled import kernel_function


def _access_error(code: Pf, vm_flags: Vm) -> bool:
    if code & (Pf.PK | Pf.SGX):
        return True
    if code & Pf.SHSTK:
        return not (vm_flags & Vm.SHADOW_STACK and vm_flags & Vm.WRITE)
    if code & Pf.WRITE:
        return bool(vm_flags & Vm.SHADOW_STACK) or not vm_flags & Vm.WRITE
    return bool(code & Pf.PROT) or not vm_flags & ACCESS


@kernel_function("arch/x86/mm/fault.c", quiet=True)
def access_error(code: Pf, vm_flags: Vm) -> bool:
    """Tell whether the VMA forbids the access, or no handler could ever allow it."""
    return _access_error(code, vm_flags)


@kernel_function("arch/x86/mm/extable.c", quiet=True)
def fixup_exception(regs: PtRegs) -> bool:
    """Go on where the exception table says, if it has the instruction."""
    return regs.extable


@kernel_function("arch/x86/mm/fault.c", quiet=True)
def kernelmode_fixup_or_oops(regs: PtRegs, address: int, signal: SigInfo | None) -> End:
    """Look in the exception table; ``signal`` is what user mode would get, and not used."""
    if fixup_exception(regs):
        return End.FIXUP
    return die(f"the kernel faults at {address:#x}, where nothing is prepared for it")


def allowed(vm_flags: Vm, access: Access) -> bool:
    """``access_error()`` as a mask."""
    return not _access_error(error_code(access, USER), vm_flags)


@dataclass(frozen=True)
class X86(PageFault):
    """The entry of x86."""

    def flags(self, access: Access, regs: PtRegs) -> FaultFlag:
        """A shadow stack is always written, for its PTEs cannot be read-only."""
        flags = super().flags(access, regs)
        return flags | FaultFlag.WRITE if access.shadow_stack else flags

    def allows(self, f: InFlight, vma: VmArea) -> bool:
        """Ask ``access_error()``."""
        return not access_error(error_code(f.access, f.regs), vma.vm_flags.read())

    def before(self, f: InFlight) -> End | None:
        """Refuse what only a bug can be, and emulate a vsyscall, whose page has no VMA."""
        code = error_code(f.access, f.regs)
        if code & (Pf.USER | Pf.INSTR) == Pf.INSTR:
            return die(f"the kernel executes user memory at {f.access.address:#x}")
        if code & Pf.RSVD:
            return die(f"corrupted page table at {f.access.address:#x}")
        if not f.regs.user and not f.regs.uaccess:
            return die(f"the kernel uses user memory at {f.access.address:#x} with SMAP on")
        if is_vsyscall_vaddr(f.access.address) and emulate_vsyscall(f.mm, f.access, f.regs):
            return End.RESUME
        return None

    def denied(self, f: InFlight, vma: VmArea) -> End:
        """Say whether a protection key forbade it."""
        return self.bad_area(f._replace(code=SiCode.SEGV_PKUERR if f.access.pkey else ACCERR))

    def no_context(self, f: InFlight, signal: SigInfo | None = None) -> End:
        """Look in the exception table."""
        return kernelmode_fixup_or_oops(f.regs, f.access.address, signal)


do_user_addr_fault = register(
    X86(
        arch="x86",
        file="arch/x86/mm/fault.c",
        function="do_user_addr_fault",
        vma_lock=True,
        order="SCRUE",
        mask=allowed,
        disabled_signal=True,
        kernel=Kernel.KILLED,
        errors=BUS_FIRST,
        one_code=False,
        segv=SiCode.SEGV_MAPERR,
        mceerr=True,
        storage="thread.cr2, error_code, trap_nr",
    ),
    pieces=("killed",),
)


@kernel_function("arch/x86/mm/fault.c", label="#PF", quiet=True)
def exc_page_fault(mm: MmStruct, access: Access, regs: PtRegs) -> End:
    """The exception: note it, and handle it."""
    note(f"#PF, {access.kind.value}" + ("" if regs.user else ", in the kernel"))
    return do_user_addr_fault(mm, access, regs)


ENTRIES["x86"] = Registered(ENTRIES["x86"].entry, exc_page_fault)
