"""System calls that read and write a puppet's memory."""

from __future__ import annotations

import errno
import os

import pytest

from refault.live import operations as do
from refault.live.abi import Unavailable
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import UFFD_USER_MODE_ONLY, Userfaultfd


def test_what_goes_into_a_pipe_comes_out(puppet: Puppet) -> None:
    thread, page = puppet.thread(), puppet.map(2)
    puppet.poke(page, b"hello")
    for ends, put, get in (
        (do.pipe(thread), do.write, do.read),
        (do.pipe(thread), do.vmsplice, do.read),
        (do.socketpair(thread), do.send, do.receive),
    ):
        assert put(thread, ends.writer, page, 5).wait() == 5
        assert get(thread, ends.reader, page + PAGE, 5).wait() == 5
        assert puppet.peek(page + PAGE, 5) == b"hello"
        puppet.poke(page + PAGE, bytes(5))


def test_one_process_reads_and_writes_the_other(puppet: Puppet) -> None:
    thread, page = puppet.thread(), puppet.map(2)
    child = thread.fork()
    puppet.poke(page, b"parent")
    assert do.vm_read(child, puppet.pid, page, page + PAGE, 6).wait() == 6
    assert child.load(page + PAGE).wait() == ord("p")
    child.store(page + PAGE, ord("P")).wait()
    assert do.vm_write(child, puppet.pid, page, page + PAGE, 1).wait() == 1
    assert puppet.peek(page, 6) == b"Parent"


def test_a_file_that_is_read_directly(puppet: Puppet) -> None:
    thread, page = puppet.thread(), puppet.map()
    try:
        fd = do.file(thread, PAGE, direct=True)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    puppet.poke(page, b"x" * PAGE)
    assert do.read(thread, fd, page, PAGE).wait() == PAGE
    assert puppet.peek(page, PAGE) == bytes(PAGE)
    assert do.read(thread, fd, page, 100).wait() in (0, -errno.EINVAL)


@pytest.mark.usefixtures("uffd_allowed")
def test_who_reads_directly_waits_in_gup(puppet: Puppet) -> None:
    thread, page, uffd = puppet.thread(1), puppet.map(), Userfaultfd.of(puppet)
    try:
        fd = do.file(puppet.thread(), PAGE, direct=True)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    uffd.register(page, PAGE)
    reading = do.read(thread, fd, page, PAGE)
    settled = thread.settled()
    assert settled.waits_in("handle_userfault")
    if settled.waits_in("iomap_dio_rw"):  # not so in tmpfs
        assert settled.waits_in("__get_user_pages")
        assert settled.state == "D"
    uffd.zeropage(page, PAGE)
    assert reading.wait() == PAGE


def test_advice_and_what_is_resident(puppet: Puppet) -> None:
    thread, page = puppet.thread(), puppet.map(3)
    thread.store(page + PAGE, 1).wait()
    assert do.resident(thread, page, 3) == (False, True, False)
    assert do.advise(thread, page + PAGE, PAGE, do.Advice.DONTNEED).wait() == 0
    assert do.resident(thread, page, 3) == (False, False, False)
    assert do.mlock(thread, page, 2 * PAGE).wait() in (0, -errno.ENOMEM)
    assert do.munmap(thread, page + 2 * PAGE, PAGE).wait() == 0
    with pytest.raises(ValueError, match="not all"):
        do.resident(thread, page, 3)


def test_a_futex_between_two_threads(puppet: Puppet) -> None:
    sleeper, page = puppet.thread(1), puppet.map()
    assert do.futex_wait(sleeper, page, 1).wait() == -errno.EAGAIN
    waiting = do.futex_wait(sleeper, page, 0)
    assert sleeper.settled().state == "S"
    assert do.futex_wake(puppet.thread(), page).wait() == 1
    assert waiting.wait() == 0


@pytest.mark.usefixtures("uffd_allowed")
def test_a_handler_that_refuses_the_kernel(puppet: Puppet) -> None:
    """The first half of a buffer is there; who copies the rest in kernel mode is refused."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK | UFFD_USER_MODE_ONLY
    try:
        uffd = Userfaultfd.of(puppet, flags=flags)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    thread, page = puppet.thread(1), puppet.map(2)
    puppet.poke(page, b"a" * PAGE)
    assert uffd.register(page + PAGE, PAGE).errno == ""
    buffer = page + PAGE - 50
    ends, file = do.pipe(thread), do.memfd(thread, PAGE)
    assert do.write(thread, ends.writer, buffer, 100).wait() == -errno.EFAULT
    assert do.write(thread, file, buffer, 100).wait() == 50
    assert do.vm_read(puppet.thread(), puppet.pid, buffer, puppet.map(), 100).wait() == 50
    assert do.futex_wait(thread, page + PAGE, 0).wait() == -errno.EFAULT
    assert uffd.poll() == 0, "no message tells of it"
