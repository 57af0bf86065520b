"""When a handler ran: before, within or after what a thread was doing."""

from __future__ import annotations

import errno
import signal

import pytest

from refault.live.abi import Nr
from refault.live.operations import pipe
from refault.live.puppet import PAGE, Point, Puppet
from refault.live.userfaultfd import Userfaultfd


def test_a_handler_that_interrupts_runs_when_the_call_has_returned(puppet: Puppet) -> None:
    thread, ends = puppet.thread(1), pipe(puppet.thread())
    puppet.handle(signal.SIGUSR1)
    page = puppet.map()
    reading = thread.syscall(Nr.READ, ends.reader, page, 1)
    assert thread.settled().state == "S"
    thread.kill(signal.SIGUSR1)
    assert reading.wait() == -errno.EINTR
    (seen,) = thread.deliveries
    assert (seen.point, seen.rax) == (Point.RETURNED, -errno.EINTR)
    assert (seen.begun, seen.begun - seen.done) == (reading.number, 1)
    before, after = reading.times
    assert before < seen.time < after


def test_with_sa_restart_the_call_begins_anew(puppet: Puppet) -> None:
    thread, ends = puppet.thread(1), pipe(puppet.thread())
    puppet.handle(signal.SIGUSR1, restart=True)
    page = puppet.map()
    reading = thread.syscall(Nr.READ, ends.reader, page, 1)
    assert thread.settled().state == "S"
    thread.kill(signal.SIGUSR1)
    puppet.wait_until(lambda: thread.handled.times == 1)
    assert thread.deliveries[0].point is Point.AGAIN
    assert not reading.done
    puppet.thread().call(Nr.WRITE, ends.writer, page, 1)
    assert reading.wait() == 1


@pytest.mark.usefixtures("uffd_allowed")
def test_a_load_that_waits_begins_anew(puppet: Puppet) -> None:
    uffd, page, thread = Userfaultfd.of(puppet), puppet.map(), puppet.thread(1)
    uffd.register(page, PAGE)
    puppet.handle(signal.SIGUSR1)
    load = thread.load(page)
    assert thread.settled().waits_in("handle_userfault")
    thread.kill(signal.SIGUSR1)
    puppet.wait_until(lambda: thread.handled.times == 1)
    assert (thread.deliveries[0].point, load.done) == (Point.AGAIN, False)
    uffd.zeropage(page, PAGE)
    assert load.wait() == 0


def test_a_blocked_signal_waits(puppet: Puppet) -> None:
    thread = puppet.thread(1)
    puppet.handle(signal.SIGUSR1)
    thread.block(signal.SIGUSR1, signal.SIGUSR2)
    thread.kill(signal.SIGUSR1)
    assert thread.call(Nr.GETTID) == thread.tid
    assert thread.handled.times == 0
    assert int(thread.proc.status("SigPnd"), 16) == 1 << signal.SIGUSR1 - 1
    thread.unblock(signal.SIGUSR1)
    (seen,) = thread.deliveries
    assert (seen.point, seen.rax) == (Point.RETURNED, 0)


def test_the_log_has_the_last_eight_in_order(puppet: Puppet) -> None:
    thread = puppet.thread()
    sent = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP] * 4
    for number in sent[:3]:
        puppet.handle(number)
    for times, number in enumerate(sent, 1):
        thread.kill(number)
        puppet.wait_until(lambda: thread.handled.times == times)  # noqa: B023
        thread.call(Nr.GETTID)
    assert [seen.signal for seen in thread.deliveries] == sent[-8:]
    done = [seen.done for seen in thread.deliveries]
    assert done == list(range(done[0], done[0] + 8))


def test_a_fault_that_fails_has_its_error_code(puppet: Puppet) -> None:
    puppet.handle(signal.SIGSEGV)
    thread, page = puppet.thread(1), puppet.map(prot=0)
    assert thread.store(page + 5, 1).wait() == -signal.SIGSEGV
    (seen,) = thread.deliveries
    assert (seen.address, seen.point) == (page + 5, Point.AGAIN)
    assert seen.error & 0b110 == 0b110  # a write, by user mode


def test_a_signal_that_somebody_sent_skips_nothing(puppet: Puppet) -> None:
    thread, ends = puppet.thread(1), pipe(puppet.thread())
    puppet.handle(signal.SIGBUS, restart=True)
    page = puppet.map()
    reading = thread.syscall(Nr.READ, ends.reader, page, 1)
    assert thread.settled().state == "S"
    thread.kill(signal.SIGBUS)
    puppet.wait_until(lambda: thread.handled.times == 1)
    puppet.thread().call(Nr.WRITE, ends.writer, page, 1)
    assert reading.wait() == 1
