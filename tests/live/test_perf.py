"""Page faults, counted and one by one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from refault.live import operations as do
from refault.live.abi import Nr, Unavailable
from refault.live.code import ACCESSES
from refault.live.perf import FaultCounter, FaultSampler
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import UFFD_USER_MODE_ONLY, Userfaultfd


@pytest.fixture
def faults(puppet: Puppet) -> Iterator[FaultSampler]:
    try:
        sampler = FaultSampler(puppet.thread(1))
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    with sampler:
        yield sampler


def test_each_fault_of_a_thread_is_sampled(puppet: Puppet, faults: FaultSampler) -> None:
    thread, page = puppet.thread(1), puppet.map(2)
    thread.load(page + 3).wait()
    thread.load(page + 4).wait()
    thread.store(page + 5, 1).wait()
    puppet.thread(0).store(page + PAGE, 1).wait()  # of another thread
    first, second = faults.read()
    assert [f.address - page for f in (first, second)] == [3, 5]
    assert [f.ip - puppet.code for f in (first, second)] == list(ACCESSES[:2])
    assert {(f.pid, f.tid, f.user) for f in (first, second)} == {(puppet.pid, thread.tid, True)}
    assert first.time < second.time
    assert faults.read() == []
    assert faults.count == 2


def test_the_kernel_faults_where_it_copies(puppet: Puppet, faults: FaultSampler) -> None:
    thread, page = puppet.thread(1), puppet.map()
    assert do.write(thread, do.pipe(puppet.thread()).writer, page, 8).wait() == 8
    (fault,) = faults.read()
    assert (fault.address, fault.user) == (page, False)


def test_a_ring_that_is_full_says_what_it_lost(puppet: Puppet) -> None:
    try:
        sampler = FaultSampler(puppet.thread(1), pages=1)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    thread, page = puppet.thread(1), puppet.map(300)
    with sampler:
        for index in range(200):
            thread.store(page + index * PAGE, 1).wait()
        found = sampler.read()
        assert [f.address for f in found] == [page + n * PAGE for n in range(len(found))]
        for index in range(200, 300):
            thread.store(page + index * PAGE, 1).wait()
        later = sampler.read()
        assert len(found) + sampler.lost + len(later) == 300
        assert later[-1].address == page + 299 * PAGE
        assert 0 < sampler.lost < 200


@pytest.mark.usefixtures("uffd_allowed")
def test_faults_of_one_system_call_are_counted(puppet: Puppet) -> None:
    """A copy that is refused faults at least twice: it is tried again, byte by byte."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK | UFFD_USER_MODE_ONLY
    thread, page = puppet.thread(1), puppet.map(2)
    try:
        counter, uffd = FaultCounter(thread), Userfaultfd.of(puppet, flags=flags)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    puppet.poke(page, b"a" * PAGE)
    uffd.register(page + PAGE, PAGE)
    ends, file = do.pipe(puppet.thread()), do.memfd(puppet.thread(), PAGE)
    thread.load(page).wait()
    with counter:
        assert thread.syscall(Nr.GETTID).wait() == thread.tid
        assert counter.count == 0
        assert do.write(thread, ends.writer, page + PAGE - 50, 100).wait() == -errno.EFAULT
        assert counter.count >= 2
        counter.reset()
        assert do.write(thread, file, page + PAGE - 50, 100).wait() == 50
        assert counter.count >= 1
        counter.pause()
        before = counter.count
        thread.load(puppet.map()).wait()
        assert counter.count == before
