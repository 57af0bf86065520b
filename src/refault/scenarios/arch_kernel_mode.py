"""Page faults of the kernel itself, in ``copy_from_user()`` and its like, on every architecture.

Nobody serves the faults here: a task that is killed while it waits for one must get out by itself.
"""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.arch import ARCHITECTURES
from refault.linux.arch.mmu import copy_from_user, copy_from_user_nofault, page_fault
from refault.linux.arch.ptrace import Access, PtRegs
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
)
from refault.patches.arch_fault import TEN
from refault.scenarios.api import Expected, scenario

VIRO = "LKML 2023-01-31, Al Viro: [RFC][PATCHSET] VM_FAULT_RETRY fixes"
VIRO_XU = "LKML 2023-02-01, Al Viro and Peter Xu, Re: [RFC][PATCHSET] VM_FAULT_RETRY fixes"
WITHOUT = "without viro_retry_kernel_fixup"


def on(arch: str, *changes: str) -> str:
    """Name a variant on an architecture."""
    return ", ".join((f"on {arch}", *changes) if arch != "x86" else changes)


def everywhere(
    expected: dict[str, Expected], otherwise: Expected, *changes: str
) -> dict[str, Expected]:
    """State what is expected on each architecture."""
    return {on(arch, *changes): expected.get(arch, otherwise) for arch in ARCHITECTURES}


@scenario(
    source=VIRO,
    claims=("28",),
    expect={
        **everywhere({}, "holds"),
        **everywhere(dict.fromkeys(TEN, "livelock"), "holds", WITHOUT),
        "without x86_retry_kernel_fixup": "livelock",
        "on xtensa, without xtensa_retry_kernel_fixup": "livelock",
        "on arm, without arm_retry_kernel_fixup": "livelock",
        "on arm64, without arm64_retry_kernel_fixup": "livelock",
    },
)
def killed_in_a_user_access(k: Kernel) -> None:
    """A task that is killed while the kernel waits for one of its pages leaves the kernel.

    Where the handler just returned, as if it went back to user mode, the instruction ran again,
    faulted again, and found SIGKILL pending before it had waited at all: for ever, and unkillable.
    """
    page, _ = k.uffd_page()

    @k.thread(process=page)
    def victim() -> None:
        page.get_user()

    @k.thread
    def killer() -> None:
        k.kill(page, SIGKILL)


@scenario(source=VIRO, expect=everywhere({}, "holds"))
def killed_in_a_fault_of_user_mode(k: Kernel) -> None:
    """A task that is killed in a fault of its own dies of that.

    On um the fault counts as failed, and the task is sent a SIGSEGV that it does not live to take.
    """
    page, _ = k.uffd_page()

    @k.thread(process=page)
    def victim() -> None:
        page.load()

    @k.thread
    def killer() -> None:
        k.kill(page, SIGKILL)


@scenario(source=VIRO, expect=everywhere({}, "holds"))
def killed_while_the_lock_is_taken(k: Kernel) -> None:
    """A task that is killed while it waits for mmap_lock in a fault dies, whoever has the lock.

    The handler cannot tell a lock that it did not get from an address that nothing maps, and sends
    SIGSEGV.
    """
    page = k.mm().mmap()

    @k.thread(process=page)
    def victim() -> None:
        page.load()

    @k.thread
    def writer() -> None:
        page.mprotect(Vm.READ)

    @k.thread
    def killer() -> None:
        k.kill(page, SIGKILL)


@scenario(
    source="follows from FAULT_FLAG_INTERRUPTIBLE, which the kernel's own faults have, too",
    expect=everywhere({}, "livelock"),
)
def signal_in_a_user_access(k: Kernel) -> None:
    """A signal that is caught does not get the kernel out of a fault, but keeps it from sleeping.

    The signal comes while the system call is under way. From then on the wait in
    ``handle_userfault()``, which is interruptible, ends at once; in kernel mode only
    SIGKILL ends the retries. So the task goes round in the kernel until somebody serves the fault.
    """
    page, _ = k.uffd_page()
    inside, sent = k.program.cell("inside", False), k.program.cell("sent", False)

    def system_call() -> None:
        inside.write(True)
        sent.wait(bool)
        copy_from_user(page.mm, page.address)

    @k.thread(process=page, handlers={SIGUSR1: lambda: None})
    def program() -> None:
        k.syscall(system_call)

    @k.thread
    def sender() -> None:
        inside.wait(bool)
        k.kill(page, SIGUSR1)
        sent.write(True)


@scenario(
    source="arch/*/mm/fault.c: faulthandler_disabled(), and where it is not looked at",
    expect=everywhere({"openrisc": "deadlock", "hexagon": "deadlock"}, "holds"),
)
def copy_under_the_fault_lock(k: Kernel) -> None:
    """A copy that must not fault, by a task that holds mmap_lock, does not take it again.

    ``UFFDIO_COPY`` copies so. A handler that does not look whether faults are disabled takes the
    lock for reading a second time, and a writer that has queued in between keeps it out.
    """
    process = k.mm()
    source, other = process.mmap(), process.mmap()

    @k.thread
    def copier() -> None:
        mmap_read_lock(process.mm)
        copy_from_user_nofault(process.mm, source.address)
        mmap_read_unlock(process.mm)

    @k.thread
    def writer() -> None:
        other.mprotect(Vm.READ)


PLAIN = ("m68k", "openrisc", "parisc", "ia64")
"""Who waits for mmap_lock without asking whether it may."""

DANCED = ("x86", "arm", "arm64", "powerpc", "microblaze", "nios2", "sparc64")
"""Who searched the exception table first, before 6.5."""


@scenario(
    source=VIRO_XU,
    claims=("24",),
    expect={
        **everywhere(dict.fromkeys(PLAIN, "deadlock"), "oops"),
        **everywhere(dict.fromkeys(DANCED, "oops"), "deadlock", "without stackrot"),
        on("um"): "panic",
        on("um", "without stackrot"): "panic",
        on("s390", "without stackrot"): "deadlock",
    },
)
def kernel_bug_under_mmap_lock(k: Kernel) -> None:
    """A bug of the kernel that touches user memory under mmap_lock ends in an oops.

    No entry in the exception table says that it may fault. Whoever looks there before waiting for
    the lock, which the task itself holds for writing, says so; whoever just waits hangs.
    """
    process = k.mm()
    page = process.mmap()

    @k.thread
    def program() -> None:
        mmap_write_lock(process.mm)
        page_fault(process.mm, Access(page.address), PtRegs(user=False, uaccess=True))
        mmap_write_unlock(process.mm)
