"""Signals in faults of user mode on memory of a GPU, and how a handler tells them from others."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.arch.mmu import copy_from_user, copy_to_user
from refault.linux.drivers.gpu.drm.i915.i915_gem_mman import i915_vm_ops
from refault.linux.drivers.gpu.drm.ttm.ttm_bo_vm import ttm_vm_ops
from refault.linux.drivers.gpu.drm.xe.xe_bo import xe_vm_ops
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import FaultFlag
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.sched import TASK_RUNNING
from refault.linux.include.uapi.signal import SIGUSR1
from refault.linux.mm.filemap_fault import filemap_fault
from refault.linux.modelled import current
from refault.linux.syscalls import ioctl_in, process_vm_readv
from refault.scenarios.api import Expected, scenario
from refault.scenarios.gpu_drivers import Ops, buffer, error_vm_ops

VETTER = "LKML 2018-04-04, Daniel Vetter: Signal handling in a page fault handler"
WILCOX = "LKML 2018-04-04, Matthew Wilcox, in the same thread"

REPAIRED: dict[str, Expected] = {
    "": "holds",
    "with killable_kernel_faults": "holds",
    "with fault_blocks_signals": "deadlock",
}
"""A fault of user mode that only the program's own handler can end, by what was proposed."""


def freed_by_the_handler(k: Kernel, ops: Ops) -> None:
    """A program loads from a buffer that is locked until its own signal handler has run."""
    b = buffer(k, ops)
    ran = k.program.cell("ran", False)
    faulting = k.program.cell("faulting", False)
    b.hold(ran)

    @k.thread(process=b.process, handlers={SIGUSR1: lambda: ran.write(True)})
    def program() -> None:
        faulting.write(True)
        b.page.load()

    @k.thread
    def sender() -> None:
        faulting.wait(bool)
        k.kill(program, SIGUSR1)


@scenario(source=VETTER, claims=("7",), expect={**REPAIRED, "on um": "livelock"})
def signal_in_a_load_i915(k: Kernel) -> None:
    """In user mode NOPAGE is right: the signal is taken before the instruction runs again.

    So it is with killable sleeps for faults of the kernel alone; whoever blocks signals in every
    fault keeps the program from them in user mode, too. On um the handler of faults asks again
    until there is a page, with mmap_lock held, and no signal is taken there in any mode.
    """
    freed_by_the_handler(k, i915_vm_ops)


@scenario(source=VETTER, claims=("7",), expect=REPAIRED)
def signal_in_a_load_ttm(k: Kernel) -> None:
    """So is RETRY: the loop of the architecture is left for the signal."""
    freed_by_the_handler(k, ttm_vm_ops)


@scenario(source=VETTER, claims=("7",), expect=REPAIRED)
def signal_in_a_load_xe(k: Kernel) -> None:
    """The same on xe."""
    freed_by_the_handler(k, xe_vm_ops)


@scenario(
    source=VETTER,
    claims=("7",),
    expect={"": "SIGBUS", "with killable_kernel_faults": "SIGBUS"},
)
def signal_in_a_load_vmf_error(k: Kernel) -> None:
    """A driver that says SIGBUS when a signal ends its wait kills the program with it."""
    freed_by_the_handler(k, error_vm_ops)


def _mapped_at_once(k: Kernel, *, contended: bool) -> None:
    """Look after a fault of the kernel with a signal pending whether the page was mapped."""
    b = buffer(k, error_vm_ops)
    if contended:
        b.hold(k.program.cell("never", False))
    inside, sent = k.program.cell("inside", False), k.program.cell("sent", False)

    def ioctl() -> int:
        inside.write(True)
        sent.wait(bool)
        return ioctl_in(b.page, 8)

    @k.thread(process=b.process, handlers={SIGUSR1: lambda: None})
    def program() -> None:
        assert k.syscall(ioctl) == 0, "the page was not mapped, for a signal was pending"

    @k.thread
    def sender() -> None:
        inside.wait(bool)
        k.kill(program, SIGUSR1)
        sent.write(True)


@scenario(source=VETTER, claims=("5",), expect={"": "holds"})
def signal_pending_and_nobody_contends(k: Kernel) -> None:
    """A pending signal alone keeps no page from being mapped: a free lock is taken without a look.

    Signals are looked at only by who has to wait.
    """
    _mapped_at_once(k, contended=False)


@scenario(source=VETTER, claims=("5",), expect={"": "assertion failure"})
def signal_pending_and_somebody_contends(k: Kernel) -> None:
    """Where there is somebody to wait for, it does: refuted."""
    _mapped_at_once(k, contended=True)


READS: dict[str, Expected] = {
    "": "holds",
    "on arm64": "holds",
    "on nios2": "holds",
    "on um": "assertion failure",
}
WRITES: dict[str, Expected] = {**READS, "on nios2": "assertion failure"}


def _told(k: Kernel, *, write: bool) -> None:
    """Ask of each fault whether FAULT_FLAG_USER says of it what the program was doing."""
    in_kernel = k.program.cell("in the kernel", False)

    def fault(vmf: VmFaultInfo) -> Found:
        user = bool(vmf.flags & FaultFlag.USER)
        assert user != in_kernel.read(), "FAULT_FLAG_USER says otherwise"
        return filemap_fault(vmf)

    device = k.file("device", vm_ops=VmOperations(fault=fault, name="device"), pages=2)
    page = k.mm().mmap(file=device, shared=True, pages=2)

    def copy() -> int:
        in_kernel.write(True)
        if write:
            copy_to_user(page.mm, page[1].address, 1)
        else:
            copy_from_user(page.mm, page[1].address)
        return 0

    @k.thread
    def program() -> None:
        if write:
            page.store(1)
        else:
            page.load()
        k.syscall(copy)


@scenario(source=VETTER, claims=("8",), expect=READS)
def fault_flag_user_of_reads(k: Kernel) -> None:
    """FAULT_FLAG_USER tells a fault of user mode from one of ``copy_from_user()``: not on um."""
    _told(k, write=False)


@scenario(source=VETTER, claims=("8",), expect=WRITES)
def fault_flag_user_of_writes(k: Kernel) -> None:
    """FAULT_FLAG_USER tells a fault of user mode from one of ``copy_to_user()``.

    On nios2 the flag is lost where a write fault sets its own.
    """
    _told(k, write=True)


@scenario(source=VETTER, claims=("8",), expect={"": "holds"})
def fault_flag_user_of_others(k: Kernel) -> None:
    """A fault on behalf of another process never has FAULT_FLAG_USER.

    So whoever sleeps killably without that flag does so for debuggers as well.
    """

    def fault(vmf: VmFaultInfo) -> Found:
        assert not vmf.flags & FaultFlag.USER
        return filemap_fault(vmf)

    device = k.file("device", vm_ops=VmOperations(fault=fault, name="device"))
    page = k.mm().mmap(file=device, shared=True)

    @k.thread
    def debugger() -> None:
        process_vm_readv(page)


@scenario(
    source=WILCOX,
    claims=("Q11",),
    expect={"with sleep_state": "holds", "with killable_kernel_faults": "holds"},
)
def sleep_state_in_a_signal_handler(k: Kernel) -> None:
    """A fault in a signal handler begins with no ``sleep_state`` of a fault that it interrupted.

    Handlers run on the way back to user mode, when the fault before has ended and put it back.
    """
    b = buffer(k, i915_vm_ops, pages=2)
    b.hold()

    def look() -> None:
        cell = current().sleep_state
        assert cell is not None
        assert cell.read() == TASK_RUNNING, "the state of another fault"

    def handler() -> None:
        look()
        b.page[1].load()

    @k.thread(process=b.process, handlers={SIGUSR1: handler})
    def program() -> None:
        b.page.load()
        look()

    @k.thread
    def sender() -> None:
        k.kill(program, SIGUSR1)
