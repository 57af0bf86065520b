"""Signals while the kernel copies from memory of a GPU, whose fault handler can be interrupted.

In each story a program calls the kernel with a pointer into a buffer that it has mapped and never
touched. Somebody else has the lock of the buffer, and a signal comes. A handler that answers NOPAGE
to that has the instruction run again, in the kernel, where no signal can be taken: it faults again,
and so on for as long as the lock is held. One that answers SIGBUS ends the copy.

Where the lock is held for good, a *livelock* says that the program turns round and round, and a
*deadlock* that it sleeps as it should.
"""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.drivers.gpu.drm.i915.i915_gem_mman import i915_vm_ops, i915_vm_ops_4_16
from refault.linux.drivers.gpu.drm.ttm.ttm_bo_vm import ttm_vm_ops, ttm_vm_ops_4_16
from refault.linux.drivers.gpu.drm.xe.xe_bo import xe_vm_ops
from refault.linux.include.uapi.signal import SA_RESTART, SIGCONT, SIGKILL, SIGSTOP, SIGUSR1, Signal
from refault.linux.syscalls import ioctl_in, write_file
from refault.scenarios.api import Expected, scenario
from refault.scenarios.gpu_drivers import Buffer, Ops, buffer, error_vm_ops

VETTER = "LKML 2018-04-04, Daniel Vetter: Signal handling in a page fault handler"

KILLABLE = "with killable_kernel_faults"
BLOCKED = "with fault_blocks_signals"
FATAL = "with fatal_ends_fault"
MUTEXES = "with sleep_state_of_mutexes"
POSTED = "with sleep_state"
DROPPING = "with i915_drop_and_retry"

SPINS: dict[str, Expected] = {
    "": "livelock",
    KILLABLE: "deadlock",
    BLOCKED: "deadlock",
    MUTEXES: "livelock",
    POSTED: "livelock",
}
"""A copy from a buffer that stays locked, by what was proposed."""

DEAD: dict[str, Expected] = {
    "": "livelock",
    FATAL: "holds",
    KILLABLE: "livelock",
    f"{FATAL}, {KILLABLE}": "holds",
    BLOCKED: "livelock",
    f"{FATAL}, {BLOCKED}": "holds",
}
"""The same, of a task that is killed."""


def nothing() -> None:
    """A handler that has nothing to do."""


FAILED = "the system call has failed, and is not restarted"


def copies(b: Buffer, sig: Signal = SIGUSR1) -> None:
    """A program gives the kernel a pointer into the buffer, and is sent a signal some time."""
    handlers = {} if sig is SIGKILL else {sig: SA_RESTART(nothing)}

    @b.k.thread(process=b.process, handlers=handlers)
    def program() -> None:
        assert ioctl_in(b.page, 8) == 0, FAILED

    @b.k.thread
    def sender() -> None:
        b.k.kill(program, sig)


def copies_with_a_signal(b: Buffer) -> None:
    """A program is sent a signal while it is in the kernel, which copies from the buffer then."""
    inside, sent = b.k.program.cell("inside", False), b.k.program.cell("sent", False)

    def ioctl() -> int:
        inside.write(True)
        sent.wait(bool)
        return ioctl_in(b.page, 8)

    @b.k.thread(process=b.process, handlers={SIGUSR1: SA_RESTART(nothing)})
    def program() -> None:
        assert b.k.syscall(ioctl) == 0, FAILED

    @b.k.thread
    def sender() -> None:
        inside.wait(bool)
        b.k.kill(program, SIGUSR1)
        sent.write(True)


def nine_steps(k: Kernel, ops: Ops) -> None:
    """The lock is given back some time."""
    b = buffer(k, ops)
    b.hold(device=ops is i915_vm_ops_4_16)
    copies(b)


def stays_locked(k: Kernel, ops: Ops, sig: Signal = SIGUSR1, *, device: bool = False) -> None:
    """The lock has been taken and is never given back."""
    b = buffer(k, ops)
    b.hold(k.program.cell("never", False), device=device or ops is i915_vm_ops_4_16)
    if sig is SIGKILL:
        copies(b, sig)
    else:
        copies_with_a_signal(b)


@scenario(source=VETTER, claims=("6",), expect={"": "holds", DROPPING: "holds"})
def signal_in_a_copy_i915(k: Kernel) -> None:
    """The nine steps on i915: the fault is not resolved while the signal is pending.

    Its NOPAGE is no error, so no fixup runs: the copy ends well once the lock is free.
    """
    nine_steps(k, i915_vm_ops)


@scenario(source=VETTER, claims=("6",), expect={"": "holds", "4.16": "holds"})
def signal_in_a_copy_i915_4_16(k: Kernel) -> None:
    """The nine steps on i915 as it was when they were written down: the same."""
    nine_steps(k, i915_vm_ops_4_16)


@scenario(source=VETTER, claims=("6",), expect={"": "holds"})
def signal_in_a_copy_ttm(k: Kernel) -> None:
    """The nine steps on TTM, which drops mmap_lock and says RETRY first: the same."""
    nine_steps(k, ttm_vm_ops)


@scenario(source=VETTER, claims=("6",), expect={"": "holds"})
def signal_in_a_copy_xe(k: Kernel) -> None:
    """The nine steps on xe: the same."""
    nine_steps(k, xe_vm_ops)


@scenario(
    source=VETTER,
    claims=("6",),
    expect={
        "": "assertion failure",
        "without copy_user_one_try": "assertion failure",
        KILLABLE: "holds",
        BLOCKED: "holds",
    },
)
def signal_in_a_copy_vmf_error(k: Kernel) -> None:
    """The nine steps as they were told: a handler that says SIGBUS when a signal ends its wait.

    The copy ends, the system call fails with -EFAULT, and nobody restarts it, though the page is
    there for whoever asks a moment later.
    """
    nine_steps(k, error_vm_ops)


@scenario(
    source=VETTER,
    claims=("6", "9", "10", "11"),
    expect={
        **SPINS,
        DROPPING: "livelock",
        "on arm64": "livelock",
        "on um": "livelock",
    },
)
def copy_from_a_locked_buffer_i915(k: Kernel) -> None:
    """While the lock is held, the program faults in the kernel again and again.

    So on any architecture; on um it does not even leave the handler of faults meanwhile.
    """
    stays_locked(k, i915_vm_ops)


@scenario(
    source=VETTER,
    claims=("6", "9"),
    expect={"": "livelock", MUTEXES: "deadlock", KILLABLE: "deadlock"},
)
def copy_from_a_locked_device_i915(k: Kernel) -> None:
    """The same of the lock of the device, which is a mutex: this is what ``sleep_state`` covers."""
    stays_locked(k, i915_vm_ops, device=True)


@scenario(source=VETTER, claims=("6", "9"), expect={"": "livelock", KILLABLE: "deadlock"})
def copy_from_a_locked_device_i915_4_16(k: Kernel) -> None:
    """The same on i915 as it was in 2018."""
    stays_locked(k, i915_vm_ops_4_16)


@scenario(
    source=VETTER,
    expect={"": "deadlock", "with sleep_state_noblock": "livelock"},
)
def copy_from_a_locked_device_without_a_signal(k: Kernel) -> None:
    """A mutex that says -EWOULDBLOCK in place of sleeping makes the copy spin without a signal.

    -EWOULDBLOCK is -EAGAIN, which i915 makes NOPAGE of.
    """
    b = buffer(k, i915_vm_ops)
    b.hold(k.program.cell("never", False), device=True)

    @k.thread(process=b.process)
    def program() -> None:
        assert ioctl_in(b.page, 8) == 0, FAILED


@scenario(source=VETTER, claims=("6", "9", "10"), expect=SPINS)
def copy_from_a_locked_buffer_ttm(k: Kernel) -> None:
    """Saying RETRY first does not help in the kernel: the second attempt says NOPAGE."""
    stays_locked(k, ttm_vm_ops)


@scenario(source=VETTER, claims=("6",), expect={"": "livelock", "4.16": "livelock"})
def copy_from_a_locked_buffer_ttm_4_16(k: Kernel) -> None:
    """TTM as it was in 2018: the second attempt does not even wait."""
    stays_locked(k, ttm_vm_ops_4_16)


@scenario(source=VETTER, claims=("6", "9", "10"), expect=SPINS)
def copy_from_a_locked_buffer_xe(k: Kernel) -> None:
    """The same on xe."""
    stays_locked(k, xe_vm_ops)


@scenario(
    source="fs/ceph/addr.c and fs/ocfs2/mmap.c in 6.18: signals blocked during a fault",
    expect={"": "assertion failure", KILLABLE: "holds", BLOCKED: "assertion failure"},
)
def stopped_in_a_copy_vmf_error(k: Kernel) -> None:
    """SIGSTOP cannot be blocked: who blocks all signals during a fault still fails for that one.

    Whoever stops and continues a program, as a shell or a debugger does, makes its system call fail
    with -EFAULT. A killable sleep does not see SIGSTOP.
    """
    b = buffer(k, error_vm_ops)
    b.hold()

    @k.thread(process=b.process)
    def program() -> None:
        assert ioctl_in(b.page, 8) == 0, FAILED

    @k.thread
    def shell() -> None:
        k.kill(b.process, SIGSTOP)
        k.kill(b.process, SIGCONT)


@scenario(source=VETTER, claims=("10",), expect={"": "livelock", MUTEXES: "livelock"})
def copy_from_a_busy_buffer(k: Kernel) -> None:
    """Waiting for the GPU is no mutex either: with the GPU hung the copy spins."""
    copies_with_a_signal(buffer(k, i915_vm_ops, busy=True))


@scenario(source=VETTER, claims=("9",), expect=DEAD)
def killed_in_a_copy_i915(k: Kernel) -> None:
    """A task that is killed in such a copy cannot die: NOPAGE is no way out of the kernel.

    Killable sleeps alone make it worse for nobody and better for none: SIGKILL ends the sleep, and
    the answer is NOPAGE all the same.
    """
    stays_locked(k, i915_vm_ops, SIGKILL)


@scenario(
    source="mm/filemap.c in 6.18: generic_perform_write(), told of such a buffer", expect=DEAD
)
def killed_in_a_write_i915(k: Kernel) -> None:
    """write(2) looks for SIGKILL before each page, and never gets there from faulting a page in."""
    b = buffer(k, i915_vm_ops)
    b.hold(k.program.cell("never", False))
    file = k.file("file")

    @k.thread(process=b.process)
    def program() -> None:
        assert write_file(file, b.page, 8) == 8

    @k.thread
    def sender() -> None:
        k.kill(program, SIGKILL)


@scenario(source=VETTER, claims=("9",), expect=dict.fromkeys(DEAD, "holds"))
def killed_in_a_copy_ttm(k: Kernel) -> None:
    """A first attempt that says RETRY lets a killed task out."""
    stays_locked(k, ttm_vm_ops, SIGKILL)


@scenario(source=VETTER, claims=("9",), expect={"": "holds", KILLABLE: "holds", BLOCKED: "holds"})
def killed_in_a_copy_vmf_error(k: Kernel) -> None:
    """So does SIGBUS, and nobody is left to see the -EFAULT."""
    stays_locked(k, error_vm_ops, SIGKILL)
