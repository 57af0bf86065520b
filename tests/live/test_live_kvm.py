"""A virtual CPU that faults, on the running kernel."""

from __future__ import annotations

import platform
import signal

import pytest

from refault.live.abi import Nr, Unavailable
from refault.live.kvm import VirtualMachine
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import Userfaultfd


@pytest.fixture
def machine(puppet: Puppet) -> VirtualMachine:
    try:
        return VirtualMachine(puppet)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")


def test_the_guest_loads_a_byte(puppet: Puppet, machine: VirtualMachine) -> None:
    puppet.poke(machine.page, b"\x5a")
    assert str(machine.exit(machine.run(puppet.thread(1)).wait())) == "MMIO 90"


@pytest.mark.usefixtures("uffd_allowed")
def test_a_guest_that_waits_for_a_page_gets_it(puppet: Puppet, machine: VirtualMachine) -> None:
    uffd = Userfaultfd(puppet.take(puppet.thread().call(Nr.USERFAULTFD, 0o2004000)))
    uffd.api()
    uffd.register(machine.page, PAGE)
    puppet.handle(signal.SIGUSR1)
    thread = puppet.thread(1)
    run = machine.run(thread)
    puppet.wait_until(lambda: thread.proc.in_function("handle_userfault"))
    assert thread.proc.in_function("hva_to_pfn") or thread.proc.in_function("kvm_vcpu_ioctl")
    thread.kill(signal.SIGUSR1)
    source = puppet.write_scratch(PAGE, b"\x07" * PAGE)
    uffd.copy(machine.page, source, PAGE)
    ends = [str(machine.exit(run.wait()))]
    if ends == ["-EINTR"]:  # since 6.2 the signal ends KVM_RUN, and the vCPU is run again
        ends.append(str(machine.exit(machine.run(thread).wait())))
    assert ends[-1] == "MMIO 7"
    assert thread.handled.times == 1


SINCE_6_2 = pytest.mark.skipif(
    tuple(int(n) for n in platform.release().split(".")[:2]) < (6, 2),
    reason="KVM waits killably before 6.2",
)


@SINCE_6_2
@pytest.mark.usefixtures("uffd_allowed")
def test_a_signal_gets_a_guest_out_whose_page_never_comes(
    puppet: Puppet, machine: VirtualMachine
) -> None:
    uffd = Userfaultfd(puppet.take(puppet.thread().call(Nr.USERFAULTFD, 0o2004000)))
    uffd.api()
    uffd.register(machine.page, PAGE)
    puppet.handle(signal.SIGUSR1)
    thread = puppet.thread(1)
    run = machine.run(thread)
    puppet.wait_until(lambda: thread.proc.in_function("handle_userfault"))
    thread.kill(signal.SIGUSR1)
    assert str(machine.exit(run.wait())) == "-EINTR"
    assert thread.handled.times == 1
