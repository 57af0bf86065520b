"""userfaultfd from Python, on the running kernel."""

from __future__ import annotations

import select
import signal

import pytest

from refault.live.abi import Nr
from refault.live.proc import PageFlag, page_flags
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import NO_FEATURES, Event, Feature, Mode, PagefaultFlag, Userfaultfd

pytestmark = pytest.mark.usefixtures("uffd_allowed")
O_NONBLOCK_CLOEXEC = 0o2004000


def opened(puppet: Puppet, features: Feature = NO_FEATURES) -> Userfaultfd:
    uffd = Userfaultfd(puppet.take(puppet.thread().call(Nr.USERFAULTFD, O_NONBLOCK_CLOEXEC)))
    uffd.api(features)
    return uffd


def test_a_fault_is_served(puppet: Puppet) -> None:
    uffd, page = opened(puppet), puppet.map(2)
    assert uffd.register(page, 2 * PAGE).errno == ""
    load = puppet.thread(1).load(page + 3)
    message = uffd.read()
    assert message is not None
    assert (message.event, message.flags) == (Event.PAGEFAULT, PagefaultFlag(0))
    assert message.address == page
    puppet.wait_until(lambda: puppet.thread(1).proc.in_function("handle_userfault"))
    assert puppet.thread(1).proc.state == "S"
    source = puppet.write_scratch(PAGE, bytes(range(256)) * 16)
    assert str(uffd.copy(page, source, PAGE)) == f"ok {PAGE}"
    assert load.wait() == 3
    assert PageFlag.PRESENT in page_flags(puppet.pid, page)
    assert uffd.poll() == 0


def test_eexist_wakes_nobody_and_wake_does(puppet: Puppet) -> None:
    uffd, page = opened(puppet), puppet.map()
    uffd.register(page, PAGE)
    load = puppet.thread(1).load(page)
    puppet.wait_until(lambda: puppet.thread(1).proc.in_function("handle_userfault"))
    assert uffd.zeropage(page, PAGE, wake=False).errno == ""
    assert str(uffd.zeropage(page, PAGE)) == "EEXIST -17"
    assert not load.done
    assert puppet.thread(1).proc.in_function("handle_userfault")
    uffd.wake(page, PAGE)
    assert load.wait() == 0


def test_write_protection(puppet: Puppet) -> None:
    uffd, page = opened(puppet), puppet.map()
    puppet.thread().store(page, 1).wait()
    if uffd.register(page, PAGE, Mode.WP).errno:
        pytest.skip("no write-protection on this kernel")
    assert uffd.writeprotect(page, PAGE).errno == ""
    assert PageFlag.UFFD_WP in page_flags(puppet.pid, page)
    store = puppet.thread(1).store(page, 2)
    message = uffd.read()
    assert message is not None
    assert message.flags == PagefaultFlag.WRITE | PagefaultFlag.WP
    uffd.writeprotect(page, PAGE, protect=False)
    assert store.wait() == 2


def test_a_signal_handler_runs_before_the_fault_is_tried_again(puppet: Puppet) -> None:
    uffd, page = opened(puppet), puppet.map()
    uffd.register(page, PAGE)
    puppet.handle(signal.SIGUSR1)
    thread = puppet.thread(1)
    load = thread.load(page)
    assert uffd.read() is not None
    puppet.wait_until(lambda: thread.proc.in_function("handle_userfault"))
    thread.kill(signal.SIGUSR1)
    puppet.wait_until(lambda: thread.handled.times == 1)
    assert uffd.read() is not None, "the fault is tried again, with a new message"
    uffd.zeropage(page, PAGE)
    assert load.wait() == 0


def test_before_the_handshake_it_polls_as_broken(puppet: Puppet) -> None:
    fd = puppet.take(puppet.thread().call(Nr.USERFAULTFD, O_NONBLOCK_CLOEXEC))
    assert Userfaultfd(fd).poll() & select.POLLERR
    assert Userfaultfd(fd).register(puppet.map(), PAGE).errno == "EINVAL"
