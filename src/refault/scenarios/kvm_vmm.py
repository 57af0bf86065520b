"""A virtual machine monitor around KVM, as QEMU is one, and those who want the machine to stop.

The thread of a CPU runs the guest until it is told to stop. Whoever tells it sets a flag and sends
SIGUSR1, whose handler keeps the guest from being entered. The guest is in the middle of a postcopy
migration: its page comes through userfaultfd, when the network is up.
"""

from __future__ import annotations

from refault.explore import Cell, Violation, restart, scope
from refault.linux import Kernel
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_RUNNING,
    TASK_STOPPED,
    TaskState,
)
from refault.linux.include.uapi.errno import EINTR
from refault.linux.include.uapi.signal import (
    SIGCONT,
    SIGINT,
    SIGSTOP,
    SIGTRAP,
    SIGUSR1,
    Handler,
    Signal,
)
from refault.linux.kernel.sched.core import (
    __set_current_state,
    schedule,
    set_current_state,
)
from refault.linux.syscalls import kvm_run
from refault.linux.user import COPIED
from refault.scenarios.api import scenario

SERIES = "LKML 2022-06-22, Peter Xu: kvm/mm: Allow GUP to respond to non fatal signals"
HANGS = {"": "holds", "without kvm_sigpending_pfn": "deadlock", "6.1": "deadlock"}


class Machine:
    """A monitor of one CPU, whose guest loads from a page that is not there yet.

    ``halted`` tells that its thread has left ``KVM_RUN`` and waits, ``loaded`` what the guest has
    got. ``network`` is whether pages arrive.
    """

    def __init__(self, k: Kernel, handlers: dict[Signal, Handler] | None = None) -> None:
        self.k = k
        self.page, self.uffd = k.uffd_page()
        self.vm = k.kvm(self.page)
        self.stop = k.program.cell("stop is asked for", False)
        self.halted = k.program.cell("the CPU is halted", False)
        self.network = k.program.cell("the network is up", False)
        own = {SIGUSR1: self.kick, **(handlers or {})}
        k.thread(name="vcpu", process=self.page, handlers=own, blocked=(SIGINT,))(self.run_cpu)

    def kick(self) -> None:
        """The handler of SIGUSR1."""
        self.vm.immediate_exit.write(True)

    @scope
    def run_cpu(self) -> None:
        """Run the guest until it has its page; in between, halt as long as that is asked for."""
        while True:
            restart()
            if self.stop.read():
                self.halted.write(True)
                self.stop.wait(_is_false)
                self.halted.write(False)
            exited = kvm_run(self.vm, self.page)
            self.vm.immediate_exit.write(False)
            if exited.errno == 0:
                if exited.value != COPIED:
                    raise Violation("wrong value", f"the guest has loaded {exited.value}")
                self.halted.write(True)
                return
            if exited.errno != -EINTR:
                raise Violation("wrong exit", f"KVM_RUN returned {exited}")

    def vm_stop(self) -> None:
        """Stop the machine, and wait until it has stopped."""
        self.stop.write(True)
        self.k.kill("vcpu", SIGUSR1)
        self.halted.wait(bool)

    def vm_cont(self) -> None:
        """Let the machine go on."""
        self.stop.write(False)

    def quit(self) -> None:
        """End the process."""
        self.vm_cont()
        self.k.exit_group()

    def serve(self) -> None:
        """Start the thread that puts the page where it belongs, once it arrives."""

        @self.k.thread
        def postcopy() -> None:
            self.network.wait(bool)
            self.uffd.copy(self.page)


def _is_false(value: bool) -> bool:
    return not value


@scenario(
    source=SERIES,
    claims=("38",),
    expect={
        "": "KVM_RUN returns",
        "without kvm_sigpending_pfn": "unserved fault",
        "6.1": "unserved fault",
    },
)
def from_the_signal_to_the_exit(k: Kernel) -> None:
    """A CPU that sleeps for its page is in KVM_RUN until the page comes: refuted, since 6.2.

    The signal ends the sleep, GUP returns -EINTR, KVM tells that apart from an address that cannot
    be resolved, and the monitor has its CPU back.
    """
    page, _uffd = k.uffd_page()
    vm = k.kvm(page)

    @k.thread(process=page, handlers={SIGUSR1: lambda: None})
    def vcpu() -> None:
        exited = kvm_run(vm, page)
        raise Violation("KVM_RUN returns", f"{exited.reason}, {exited.errno}")

    @k.thread
    def qemu() -> None:
        k.task("vcpu").state.wait(_is_asleep)
        k.kill(vcpu, SIGUSR1)


def _is_asleep(state: TaskState) -> bool:
    return state != TASK_RUNNING


@scenario(source=SERIES, claims=("38",), expect=HANGS)
def vm_stop_while_the_network_is_down(k: Kernel) -> None:
    """vm_stop comes back while the page of a CPU is under way, and may never arrive."""
    qemu = Machine(k)

    @k.thread(name="main", process=qemu.page)
    def main() -> None:
        qemu.vm_stop()
        qemu.quit()


@scenario(source=SERIES, claims=("38",), expect=HANGS)
def vm_stop_before_the_network_is_repaired(k: Kernel) -> None:
    """The machine is stopped, the migration is resumed by the same thread, and the guest goes on.

    Where vm_stop hangs, nobody is left to repair what it hangs for.
    """
    qemu = Machine(k)
    qemu.serve()

    @k.thread(name="main")
    def main() -> None:
        qemu.vm_stop()
        qemu.network.write(True)
        qemu.vm_cont()


@scenario(source=SERIES, expect={"": "holds", "6.1": "holds"})
def vm_stop_while_the_network_is_repaired(k: Kernel) -> None:
    """If somebody else repairs the network, the machine is stopped in the end in any version."""
    qemu = Machine(k)
    qemu.serve()

    @k.thread(name="main")
    def main() -> None:
        qemu.vm_stop()
        qemu.vm_cont()

    @k.thread
    def network() -> None:
        qemu.network.write(True)


@scenario(source=SERIES, claims=("38",), expect=HANGS)
def ctrl_c_while_the_network_is_down(k: Kernel) -> None:
    """Ctrl-C stops the machine: SIGINT goes to the main thread, which stops the CPU."""
    qemu = Machine(k)
    quit_asked: Cell[bool] = k.program.cell("quit is asked for", False)

    def wait_for_work() -> int:
        set_current_state(TASK_INTERRUPTIBLE)
        if not quit_asked.read():
            schedule()
        __set_current_state(TASK_RUNNING)
        return -EINTR

    @k.thread(name="main", process=qemu.page, handlers={SIGINT: lambda: quit_asked.write(True)})
    def main() -> None:
        k.syscall(wait_for_work)
        qemu.vm_stop()
        qemu.quit()

    @k.thread
    def terminal() -> None:
        k.kill(qemu.page, SIGINT)


@scenario(source=SERIES, claims=("38",), expect=HANGS)
def debugger_traps_while_the_network_is_down(k: Kernel) -> None:
    """A debugger that sends SIGTRAP to the CPU gets it out of the guest; here by its handler."""
    trapped: Cell[bool] = k.program.cell("the debugger has the CPU", False)
    page, _uffd = k.uffd_page()
    vm = k.kvm(page)

    def stub() -> None:
        vm.immediate_exit.write(True)
        trapped.write(True)

    @k.thread(process=page, handlers={SIGTRAP: stub})
    def vcpu() -> None:
        kvm_run(vm, page)

    @k.thread
    def gdb() -> None:
        k.kill(vcpu, SIGTRAP)
        trapped.wait(bool)


@scenario(source=SERIES, claims=("38",), expect=HANGS)
def attached_while_the_network_is_down(k: Kernel) -> None:
    """Whoever attaches stops the thread of the CPU first, and looks at it while it is stopped.

    A stopped thread is let go on by SIGCONT; the guest then gets its page as if nothing had been.
    """
    qemu = Machine(k)
    qemu.serve()

    @k.thread
    def gdb() -> None:
        k.kill(qemu.page, SIGSTOP)
        k.task("vcpu").state.wait(_is_stopped)
        k.kill(qemu.page, SIGCONT)
        qemu.network.write(True)


def _is_stopped(state: TaskState) -> bool:
    return state == TASK_STOPPED
