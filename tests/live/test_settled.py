"""A thread has done its command, or sleeps in it, or spins."""

from __future__ import annotations

import os
import signal
import time

import pytest

from refault.live.abi import Nr
from refault.live.operations import pipe, write
from refault.live.puppet import PAGE, Point, Puppet, Settled
from refault.live.settle import Watch
from refault.live.userfaultfd import Userfaultfd


def test_what_is_done_is_done(puppet: Puppet) -> None:
    thread, page = puppet.thread(1), puppet.map()
    for value in range(50):
        command = thread.store(page, value)
        assert puppet.settled(thread) == Settled(True, "", ())
        assert command.result == value


@pytest.mark.usefixtures("uffd_allowed")
def test_a_thread_that_waits_for_a_page(puppet: Puppet) -> None:
    uffd, page, thread = Userfaultfd.of(puppet), puppet.map(), puppet.thread(1)
    uffd.register(page, PAGE)
    for _ in range(20):
        load = thread.load(page)
        settled = thread.settled()
        assert (settled.done, settled.state) == (False, "S")
        if len(settled.stack) > 1:
            assert settled.stack[0] == "handle_userfault"
        uffd.zeropage(page, PAGE)
        assert load.wait() == 0
        puppet.thread().call(Nr.MADVISE, page, PAGE, 4)


def test_a_thread_that_waits_for_input(puppet: Puppet) -> None:
    thread, ends = puppet.thread(1), pipe(puppet.thread())
    page = puppet.map()
    reading = thread.syscall(Nr.READ, ends.reader, page, 1)
    assert thread.settled().state == "S"
    puppet.thread().call(Nr.WRITE, ends.writer, page, 1)
    assert thread.settled().done
    assert reading.result == 1


@pytest.mark.usefixtures("uffd_allowed")
def test_a_thread_that_waits_for_a_lock_of_one_that_sleeps(puppet: Puppet) -> None:
    """Who writes to a pipe holds its mutex while it waits for the page with the data."""
    uffd, page = Userfaultfd.of(puppet), puppet.map(2)
    reader, writer = puppet.threads
    ends, there = pipe(reader), page + PAGE
    reader.store(page, 1).wait()
    uffd.register(there, PAGE)
    writing = write(writer, ends.writer, there, 1)
    assert writer.settled().waits_in("handle_userfault")
    reading = reader.syscall(Nr.READ, ends.reader, page, 1)
    settled = reader.settled()
    assert settled.state in ("D", "S")
    assert not settled.waits_in("handle_userfault")
    uffd.zeropage(there, PAGE)
    assert (writing.wait(), reading.wait()) == (1, 1)


def test_a_thread_that_spins_is_not_settled(puppet: Puppet) -> None:
    thread = puppet.thread(1)
    store = thread.store(puppet.map(), 1, gate=True)
    settled = thread.settled(0.02)
    assert (settled.done, settled.state) == (False, "R")
    puppet.open_gate()
    assert thread.settled().done
    assert store.result == 1


def test_a_stopped_thread(puppet: Puppet) -> None:
    thread = puppet.thread(1)
    os.kill(puppet.pid, signal.SIGSTOP)
    puppet.wait_until(lambda: thread.proc.state == "T")
    store = thread.load(puppet.scratch)
    assert thread.settled().state == "T"
    os.kill(puppet.pid, signal.SIGCONT)
    assert store.wait() == 0


def test_a_dead_thread(puppet: Puppet) -> None:
    thread = puppet.thread(1)
    thread.load(8)
    started = time.monotonic()
    assert thread.settled(60).state in ("Z", "X")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("files", [("stat",), ("stat", "wchan"), ("stat", "stack", "schedstat")])
def test_where_less_can_be_read(puppet: Puppet, files: tuple[str, ...]) -> None:
    thread, ends, page = puppet.thread(1), pipe(puppet.thread()), puppet.map()
    watch = Watch(thread.proc, files)
    try:
        reading = thread.syscall(Nr.READ, ends.reader, page, 1)
        settled = watch.settled(thread.slot, 5)
        assert (settled.done, settled.state) == (False, "S")
        assert any("pipe_read" in function for function in settled.stack) or "stack" not in files
        puppet.thread().call(Nr.WRITE, ends.writer, page, 1)
        assert watch.settled(thread.slot, 5).done
        assert reading.result == 1
        thread.store(page, 1, gate=True)
        assert watch.settled(thread.slot, 0.02).state == "R"
        puppet.open_gate()
        assert watch.settled(thread.slot, 5).done
    finally:
        watch.close()


@pytest.mark.usefixtures("uffd_allowed")
def test_a_kernel_copy_with_a_signal_pending_spins(puppet: Puppet) -> None:
    """The signal is not delivered before the system call returns, and until then it faults."""
    uffd, thread, page = Userfaultfd.of(puppet), puppet.thread(1), puppet.map()
    uffd.register(page, PAGE)
    puppet.handle(signal.SIGUSR1)
    writing = write(thread, pipe(puppet.thread()).writer, page, 8)
    assert thread.settled().waits_in("handle_userfault")
    thread.kill(signal.SIGUSR1)
    settled = thread.settled(0.05)
    assert (settled.done, settled.state, thread.handled.times) == (False, "R", 0)
    uffd.zeropage(page, PAGE)
    assert writing.wait() == 8
    assert thread.handled.times == 1
    assert thread.deliveries[0].point is Point.RETURNED
