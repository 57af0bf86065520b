"""A guest whose memory comes from afar, and those who want its CPU back meanwhile.

In postcopy migration the pages of a guest come through userfaultfd, from another machine. When the
network fails a CPU of the guest waits in the kernel, and whoever wants it out of there sends it a
signal: QEMU to stop the machine, a person with Ctrl-C, a debugger.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.explore import Violation
from refault.linux import Kernel
from refault.linux.include.uapi.errno import EINTR
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.linux.syscalls import kvm_run, process_vm_readv
from refault.linux.user import COPIED
from refault.linux.virt.kvm.kvm_host import Kvm
from refault.scenarios.api import scenario

SERIES = "LKML 2022-06-22, Peter Xu: kvm/mm: Allow GUP to respond to non fatal signals"
BEFORE = {
    "": "holds",
    "without kvm_sigpending_pfn": "unserved fault",
    "without gup_interruptible, without kvm_sigpending_pfn": "unserved fault",
    "6.1": "unserved fault",
}


def kicked(vm: Kvm) -> Callable[[], None]:
    """What QEMU's handler of the signal does: it keeps the guest from being entered."""
    return lambda: vm.immediate_exit.write(True)


@scenario(source=SERIES, claims=("29", "37", "38"), expect=BEFORE)
def vcpu_kicked_while_the_network_is_down(k: Kernel) -> None:
    """A CPU of a guest that waits for a page comes back when it is sent a signal."""
    page, _uffd = k.uffd_page()
    vm = k.kvm(page)

    @k.thread(process=page, handlers={SIGUSR1: kicked(vm)})
    def vcpu() -> None:
        exited = kvm_run(vm, page)
        if exited.errno != -EINTR:
            raise Violation("wrong exit", f"KVM_RUN returned {exited}")

    @k.thread
    def qemu() -> None:
        k.kill(vcpu, SIGUSR1)


@scenario(source=SERIES, claims=("38", "Q10"), expect={"": "holds", "6.1": "holds"})
def vcpu_kicked_and_run_again(k: Kernel) -> None:
    """Kicked while its page is under way, the CPU can be run again, and has lost nothing."""
    page, uffd = k.uffd_page()
    vm = k.kvm(page)

    @k.thread(process=page, handlers={SIGUSR1: lambda: None})
    def vcpu() -> None:
        exited = kvm_run(vm, page)
        if exited.errno == -EINTR:
            exited = kvm_run(vm, page)
        if (exited.errno, exited.value) != (0, COPIED):
            raise Violation("wrong exit", f"KVM_RUN returned {exited}")

    @k.thread
    def qemu() -> None:
        k.kill(vcpu, SIGUSR1)

    k.monitor(uffd, process=page)


@scenario(source=SERIES, expect={"": "unserved fault"})
def vcpu_kicked_too_early(k: Kernel) -> None:
    """A signal that is handled before KVM_RUN begins is lost, if its handler only returns.

    So a virtual machine monitor sets ``immediate_exit`` in the handler, or blocks the signal but
    for the time in KVM_RUN.
    """
    page, _uffd = k.uffd_page()
    vm = k.kvm(page)

    @k.thread(process=page, handlers={SIGUSR1: lambda: None})
    def vcpu() -> None:
        kvm_run(vm, page)

    @k.thread
    def qemu() -> None:
        k.kill(vcpu, SIGUSR1)


@scenario(source=SERIES, claims=("29",), expect={"": "holds", "6.1": "holds"})
def vcpu_killed_while_the_network_is_down(k: Kernel) -> None:
    """SIGKILL ends the wait in any version."""
    page, _uffd = k.uffd_page()
    vm = k.kvm(page)

    @k.thread(process=page)
    def vcpu() -> None:
        kvm_run(vm, page)

    @k.thread
    def qemu() -> None:
        k.kill(page, SIGKILL)


@scenario(source=SERIES, claims=("29",), expect={"": "unserved fault"})
def debugger_reads_while_the_network_is_down(k: Kernel) -> None:
    """Any other user of GUP does not see a signal that is not fatal: it has no such flag."""
    page, _uffd = k.uffd_page()

    @k.thread(process=page, handlers={SIGUSR1: lambda: None})
    def debugger() -> None:
        process_vm_readv(page)

    @k.thread
    def someone() -> None:
        k.kill(debugger, SIGUSR1)
