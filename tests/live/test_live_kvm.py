"""A virtual CPU that faults, on the running kernel."""

from __future__ import annotations

import platform
import signal

import pytest

from refault.live.abi import Unavailable
from refault.live.kvm import Mode, VirtualMachine
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import Userfaultfd


def made(puppet: Puppet, mode: Mode = Mode.USER, vcpus: int = 1) -> VirtualMachine:
    try:
        return VirtualMachine(puppet, mode, vcpus=vcpus)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")


@pytest.fixture
def machine(puppet: Puppet) -> VirtualMachine:
    return made(puppet)


def test_the_guest_loads_a_byte(puppet: Puppet, machine: VirtualMachine) -> None:
    puppet.poke(machine.page, b"\x5a")
    assert str(machine.exit(machine.run(puppet.thread(1)).wait())) == "MMIO 90"


@pytest.mark.parametrize("mode", Mode)
def test_each_mode_loads_and_stores(puppet: Puppet, mode: Mode) -> None:
    machine, thread = made(puppet, mode), puppet.thread(1)
    puppet.poke(machine.page, b"\x11")
    assert str(machine.exit(machine.load(thread).wait())) == "MMIO 17"
    assert str(machine.exit(machine.store(thread, 34).wait())) == "MMIO 34"
    assert puppet.peek(machine.page, 1) == b"\x22"
    assert str(machine.exit(machine.run(thread).wait())) == "MMIO 34", "it begins anew"
    assert str(machine.exit(machine.load(thread).wait())) == "MMIO 34"


def test_two_cpus_of_one_guest(puppet: Puppet) -> None:
    machine = made(puppet, vcpus=2)
    one, two = puppet.threads
    assert str(machine.exit(machine.store(one, 5, 0).wait(), 0)) == "MMIO 5"
    assert str(machine.exit(machine.load(two, 1).wait(), 1)) == "MMIO 5"
    with pytest.raises(ValueError, match="1 to 2 CPUs"):
        VirtualMachine(puppet, vcpus=3)


def test_it_need_not_enter_the_guest(puppet: Puppet, machine: VirtualMachine) -> None:
    thread = puppet.thread(1)
    before = machine.registers(thread)
    machine.immediate_exit(True)
    assert str(machine.exit(machine.run(thread).wait())) == "-EINTR"
    assert machine.registers(thread) == before
    machine.immediate_exit(False)
    assert str(machine.exit(machine.run(thread).wait())) == "MMIO 0"


@pytest.mark.usefixtures("uffd_allowed")
@pytest.mark.parametrize("mode", Mode)
def test_a_store_of_a_guest_waits_for_its_page(puppet: Puppet, mode: Mode) -> None:
    machine, thread = made(puppet, mode), puppet.thread(1)
    uffd = Userfaultfd.of(puppet)
    uffd.register(machine.page, PAGE)
    run = machine.store(thread, 9)
    settled = thread.settled()
    assert settled.waits_in("handle_userfault")
    message = uffd.read()
    assert message is not None
    assert message.address == machine.page
    assert uffd.copy(machine.page, puppet.write_scratch(0, bytes(PAGE)), PAGE).errno == ""
    assert str(machine.exit(run.wait())) == "MMIO 9"
    assert puppet.peek(machine.page, 1) == b"\x09"


@pytest.mark.usefixtures("uffd_allowed")
def test_a_signal_that_is_blocked_in_the_guest_waits(
    puppet: Puppet, machine: VirtualMachine
) -> None:
    uffd, thread = Userfaultfd.of(puppet), puppet.thread(1)
    uffd.register(machine.page, PAGE)
    puppet.handle(signal.SIGUSR1)
    machine.block(thread, [signal.SIGUSR1])
    run = machine.load(thread)
    assert thread.settled().waits_in("handle_userfault")
    thread.kill(signal.SIGUSR1)
    uffd.zeropage(machine.page, PAGE)
    assert str(machine.exit(run.wait())) == "MMIO 0"
    assert thread.handled.times == 1


@pytest.mark.usefixtures("uffd_allowed")
def test_a_guest_that_waits_for_a_page_gets_it(puppet: Puppet, machine: VirtualMachine) -> None:
    uffd = Userfaultfd.of(puppet)
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
    uffd = Userfaultfd.of(puppet)
    uffd.register(machine.page, PAGE)
    puppet.handle(signal.SIGUSR1)
    thread = puppet.thread(1)
    run = machine.run(thread)
    puppet.wait_until(lambda: thread.proc.in_function("handle_userfault"))
    thread.kill(signal.SIGUSR1)
    assert str(machine.exit(run.wait())) == "-EINTR"
    assert thread.handled.times == 1


def test_a_machine_leaves_shared_memory_as_it_was(puppet: Puppet) -> None:
    before = b"\x5a" * PAGE * 4
    puppet.write_scratch(0, before)
    try:
        VirtualMachine(puppet)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    assert puppet.read_scratch(0, len(before)) == before
