"""Page-fault entries as they were: one patch for each repair, on all architectures it went to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from refault.explore import Violation
from refault.linux.arch.arm.mm.fault import Arm
from refault.linux.arch.arm64.mm.fault import Arm64
from refault.linux.arch.effects import die, force_sig_info_to_task
from refault.linux.arch.entry import ACCERR, MAPERR, InFlight, PageFault
from refault.linux.arch.ptrace import Access, End, PtRegs
from refault.linux.arch.table import entry
from refault.linux.arch.x86.mm.fault import fixup_exception
from refault.linux.include.linux.mm_types import MmStruct, VmArea, VmFault
from refault.linux.include.uapi.siginfo import SigInfo
from refault.patches.generic_page_fault import key
from refault.patches.patch import Patch


def _piece(arches: Iterable[str], name: str, instead: Callable[[InFlight], End]) -> dict[str, Any]:
    """Replace a piece of the entries of some architectures."""
    return {f"{entry(arch).file}:{name}": instead for arch in arches}


def _just_returns(f: InFlight) -> End:
    return End.RESUME


def _bug(f: InFlight) -> End:
    raise Violation("BUG", f"a page fault returned {f.fault!r}")


TEN = (
    "alpha",
    "hexagon",
    "ia64",
    "m68k",
    "microblaze",
    "nios2",
    "openrisc",
    "parisc",
    "riscv",
    "sparc32",
    "sparc64",
)
"""Ten architectures: sparc has two entries."""

viro_retry_kernel_fixup = Patch(
    name="viro_retry_kernel_fixup",
    title="fix livelock in uaccess, on ten architectures",
    kind="fix",
    commit="caa82ae7ef52",
    since="6.3",
    source="Al Viro, LKML 2023-01-31: [RFC][PATCHSET] VM_FAULT_RETRY fixes; openrisc is the last",
    replaces=_piece(TEN, "killed", _just_returns),
)

xtensa_retry_kernel_fixup = Patch(
    name="xtensa_retry_kernel_fixup",
    title="xtensa: fix uaccess-related livelock in do_page_fault",
    kind="fix",
    commit="7b9acbb6aad4",
    since="5.12",
    source="Max Filippov, 2021",
    replaces=_piece(("xtensa",), "killed", _just_returns),
)

x86_retry_kernel_fixup = Patch(
    name="x86_retry_kernel_fixup",
    title="x86: mm: consolidate VM_FAULT_RETRY handling",
    kind="fix",
    commit="26178ec11ef3",
    since="3.19",
    source="Linus Torvalds, 2014",
    replaces=_piece(("x86",), "killed", _just_returns),
)

arm_retry_kernel_fixup = Patch(
    name="arm_retry_kernel_fixup",
    title="ARM: 8692/1: mm: abort uaccess retries upon fatal signal",
    kind="fix",
    commit="746a272e4414",
    since="4.14",
    source="Mark Rutland, 2017",
    replaces=_piece(("arm",), "killed", _just_returns),
)

arm64_retry_kernel_fixup = Patch(
    name="arm64_retry_kernel_fixup",
    title="arm64: mm: abort uaccess retries upon fatal signal",
    kind="fix",
    commit="289d07a2dc6c",
    since="4.13",
    source="Mark Rutland, 2017",
    replaces=_piece(("arm64",), "killed", _just_returns),
)


riscv_hwpoison = Patch(
    name="riscv_hwpoison",
    title="riscv: handle VM_FAULT_[HWPOISON|HWPOISON_LARGE] faults instead of panicking",
    kind="fix",
    commit="117b1bb0cbc7",
    since="6.6",
    source="Alexandre Ghiti, 2023",
    replaces=_piece(("riscv",), "poisoned", _bug),
)

riscv_sigsegv = Patch(
    name="riscv_sigsegv",
    title="riscv/mm: Add handling for VM_FAULT_SIGSEGV in mm_fault_error()",
    kind="fix",
    commit="0c710050c47d",
    since="6.11",
    source="Zhe Qiao, 2024",
    replaces=_piece(("riscv",), "sigsegv", _bug),
)

s390_hwpoison = Patch(
    name="s390_hwpoison",
    title="s390/mm: Fix VM_FAULT_HWPOISON handling in do_exception()",
    kind="fix",
    commit="df39038cd895",
    since="6.11",
    source="Gerald Schaefer, 2024",
    replaces=_piece(("s390",), "poisoned", _bug),
)


BADMAP, BADACCESS = VmFault(0x010000), VmFault(0x020000)
"""What arm and arm64 added to the results of ``handle_mm_fault()`` for their own use."""


class Private(PageFault):
    """How arm and arm64 told a missing VMA from a forbidden access: by bits of their own.

    They lie within those that say which huge page is poisoned.
    """

    def not_found(self, f: InFlight) -> End:
        """Put a bit in the place of the result."""
        return self.error(f._replace(fault=BADMAP))

    def denied(self, f: InFlight, vma: VmArea) -> End:
        """Put a bit in the place of the result."""
        return self.error(f._replace(fault=BADACCESS))

    def sigsegv(self, f: InFlight) -> End:
        """Choose the code by the result as a whole."""
        code = ACCERR if f.fault == BADACCESS else MAPERR
        return self.bad_area(f._replace(code=code))


@dataclass(frozen=True)
class PrivateArm(Private, Arm):
    """The entry of arm until 6.10."""


@dataclass(frozen=True)
class PrivateArm64(Private, Arm64):
    """The entry of arm64 until 6.10."""


def _private(arch: str, cls: type[PageFault]) -> Callable[[MmStruct, Access, PtRegs], End]:
    now = entry(arch)
    values = {f.name: getattr(now, f.name) for f in fields(now)}
    values["error_bits"] = VmFault.ERROR | BADMAP | BADACCESS
    return cls(**values).handle


arm_private_retvals = Patch(
    name="arm_private_retvals",
    title="arm, arm64: mm: drop VM_FAULT_BADMAP/VM_FAULT_BADACCESS",
    kind="fix",
    commit="eebb5181a02f",
    since="6.10",
    source="Kefeng Wang, 2024; Peter Xu remarks on it, LKML 2023-02-01",
    replaces={
        key("arm"): _private("arm", PrivateArm),
        key("arm64"): _private("arm64", PrivateArm64),
    },
)


def _sends_signal(regs: PtRegs, address: int, signal: SigInfo | None) -> End:
    if not fixup_exception(regs):
        return die(f"the kernel faults at {address:#x}, where nothing is prepared for it")
    if regs.vsyscall and signal is not None:
        force_sig_info_to_task(signal)
    return End.FIXUP


def _was_told(address: int) -> None:
    """The fault has sent a signal already."""


vsyscall_signals = Patch(
    name="vsyscall_signals",
    title="x86/mm: Remove broken vsyscall emulation code from the page fault code",
    kind="fix",
    commit="02b670c1f88e",
    since="6.9",
    source="Linus Torvalds, 2024",
    replaces={"kernelmode_fixup_or_oops": _sends_signal, "vsyscall_failed": _was_told},
)
