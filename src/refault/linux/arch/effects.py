"""What a fault handler does to the world other than through the page tables."""

from __future__ import annotations

from typing import NoReturn

from refault.explore import Violation, note
from refault.linux.include.linux.mm_types import VmFault
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.siginfo import SiCode, SigInfo
from refault.linux.include.uapi.signal import SIGBUS, Signal
from refault.linux.kernel.signal.send import force_sig
from refault.linux.modelled import current, kernel_function

PAGE_SHIFT = 12
HUGE_SHIFTS = (21, 30)
"""The orders of the sizes that hugetlbfs has, by their index in ``VM_FAULT_HINDEX_MASK``."""


@kernel_function("kernel/signal.c", quiet=True)
def force_sig_info_to_task(info: SigInfo) -> None:
    """Send the running task a signal for what it did.

    Where its process has a handler for it, it runs on the way back to the instruction. A task that
    is being killed dies of SIGKILL first. Anywhere else the process dies of the signal, which is
    what the run has found.
    """
    note(f"{info}")
    process = current().process
    if fatal_signal_pending(current()):
        return
    if process is None or info.signo not in process.actions:
        raise Violation(str(info.signo), f"{info} at {info.address:#x}")
    force_sig(info.signo)


def force_sig_fault(signo: Signal, code: SiCode, address: int) -> None:
    """Send a signal for an access that failed."""
    force_sig_info_to_task(SigInfo(signo, code, address))


def hindex(fault: VmFault) -> int:
    """``VM_FAULT_GET_HINDEX()``: which size of huge page is poisoned."""
    return int(fault) >> 16 & 0xF


def force_sig_mceerr(fault: VmFault, address: int) -> None:
    """Send SIGBUS for poisoned memory, with the order of the size that is lost."""
    large = fault & VmFault.HWPOISON_LARGE and not fault & VmFault.HWPOISON
    index = hindex(fault)
    shift = HUGE_SHIFTS[index] if index < len(HUGE_SHIFTS) else 0
    lsb = shift if large else PAGE_SHIFT
    force_sig_info_to_task(SigInfo(SIGBUS, SiCode.BUS_MCEERR_AR, address, lsb))


@kernel_function("mm/Kconfig", quiet=True)
def config_memory_failure() -> bool:
    """Whether the kernel is built with ``CONFIG_MEMORY_FAILURE``, as those of distributions are."""
    return True


@kernel_function("mm/oom_kill.c", quiet=True)
def pagefault_out_of_memory() -> None:
    """Let the OOM killer choose a victim; the instruction then runs again."""
    raise Violation("out of memory", "a page fault found no memory")


def die(why: str) -> NoReturn:
    """End in an oops."""
    raise Violation("oops", why)
