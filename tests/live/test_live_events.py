"""What userfaultfd tells besides page faults, and what its ioctls answer."""

from __future__ import annotations

import os

import pytest

from refault.live import operations as do
from refault.live.abi import Unavailable
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import Event, Feature, Message, Mode, Userfaultfd, open_device

pytestmark = pytest.mark.usefixtures("uffd_allowed")


def opened(puppet: Puppet, features: Feature) -> Userfaultfd:
    try:
        return Userfaultfd.of(puppet, features)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")


def event(uffd: Userfaultfd) -> Message:
    message = uffd.read()
    assert message is not None
    return message


def test_a_fork_is_told_and_brings_a_descriptor(puppet: Puppet) -> None:
    uffd, page, thread = opened(puppet, Feature.EVENT_FORK), puppet.map(), puppet.thread(1)
    uffd.register(page, PAGE)
    fork = thread.begin_fork()
    assert thread.settled().waits_in("userfaultfd_event_wait_completion")
    assert uffd.zeropage(page, PAGE).errno == "EAGAIN"
    with uffd.adopt(event(uffd)) as of_child:
        child = fork.wait()
        load = child.load(page)
        assert child.settled().waits_in("handle_userfault")
        assert event(of_child).address == page
        source = puppet.write_scratch(0, b"c" * PAGE)
        assert of_child.copy(page, source, PAGE).errno == ""
        assert load.wait() == ord("c")
        assert not uffd.poll()


def test_without_the_feature_a_child_is_not_served(puppet: Puppet) -> None:
    uffd, page, thread = Userfaultfd.of(puppet), puppet.map(), puppet.thread()
    uffd.register(page, PAGE)
    assert thread.fork().load(page).wait() == 0


def test_memory_that_is_moved_removed_and_unmapped(puppet: Puppet) -> None:
    features = Feature.EVENT_REMAP | Feature.EVENT_REMOVE | Feature.EVENT_UNMAP
    uffd, pages, other = opened(puppet, features), puppet.map(4), puppet.map()
    thread = puppet.thread(1)
    uffd.register(pages, 4 * PAGE)
    uffd.zeropage(pages, 4 * PAGE)
    removing = do.advise(thread, pages, PAGE, do.Advice.DONTNEED)
    assert event(uffd)[::4] == (Event.REMOVE, (pages, pages + PAGE, 0))
    assert removing.wait() == 0
    moving = do.mremap(thread, pages + PAGE, PAGE, other)
    seen = [event(uffd), event(uffd)]
    assert moving.wait() == other
    assert seen[0][::4] == (Event.REMAP, (pages + PAGE, other, PAGE))
    assert seen[1].event is Event.UNMAP
    unmapping = do.munmap(thread, pages + 2 * PAGE, PAGE)
    assert event(uffd)[::4] == (Event.UNMAP, (pages + 2 * PAGE, pages + 3 * PAGE, 0))
    assert unmapping.wait() == 0


def test_a_copy_that_stops_half_way_says_how_far_it_came(puppet: Puppet) -> None:
    uffd, pages = Userfaultfd.of(puppet), puppet.map(3)
    uffd.register(pages, 3 * PAGE)
    uffd.zeropage(pages + PAGE, PAGE)
    source = puppet.write_scratch(0, bytes(3 * PAGE))
    assert str(uffd.copy(pages, source, 3 * PAGE)) == f"EAGAIN {PAGE}"
    assert str(uffd.copy(pages, source, 3 * PAGE)) == "EEXIST -17"
    assert uffd.copy(pages + 2 * PAGE, 1, PAGE).errno == "EFAULT"
    assert uffd.copy(pages, source, 0).errno == "EINVAL"
    assert uffd.copy(puppet.map(), source, PAGE).errno == "ENOENT"


def test_a_page_in_the_file_that_is_not_mapped(puppet: Puppet) -> None:
    uffd, thread = opened(puppet, Feature.MINOR_SHMEM), puppet.thread(1)
    fd = do.memfd(thread, 2 * PAGE)
    page = puppet.map(2, shared=True, fd=fd)
    there = puppet.map(1, shared=True, fd=fd)
    puppet.thread().store(there, 42).wait()
    assert uffd.register(page, 2 * PAGE, Mode.MINOR).errno == ""
    load = thread.load(page)
    assert event(uffd).flags.name == "MINOR"
    assert uffd.continue_(page + PAGE, PAGE).errno == "EFAULT"
    assert uffd.continue_(page, PAGE).errno == ""
    assert load.wait() == 42
    assert uffd.continue_(page, PAGE).errno == "EEXIST"


def test_poison(puppet: Puppet) -> None:
    uffd, page, thread = opened(puppet, Feature.POISON), puppet.map(), puppet.thread(1)
    uffd.register(page, PAGE)
    assert str(uffd.poison(page, PAGE)) == f"ok {PAGE}"
    puppet.handle(7)
    assert thread.load(page).wait() == -7
    assert do.write(thread, do.pipe(thread).writer, page, 1).wait() == -14


def test_only_the_owner_moves_pages(puppet: Puppet) -> None:
    uffd, page = opened(puppet, Feature.MOVE), puppet.map()
    uffd.register(page, PAGE)
    assert str(uffd.move(page, puppet.scratch, PAGE)) == "EINVAL 0"


def test_read_write_protection(puppet: Puppet) -> None:
    uffd, page, thread = opened(puppet, Feature.RWP), puppet.map(), puppet.thread(1)
    thread.store(page, 5).wait()
    assert uffd.register(page, PAGE, Mode.RWP).errno == ""
    assert uffd.rwprotect(page, PAGE).errno == ""
    load = thread.load(page)
    assert event(uffd).flags.name == "RWP"
    assert uffd.rwprotect(page, PAGE, protect=False).errno == ""
    assert load.wait() == 5


def test_the_device_opens_one_as_well() -> None:
    try:
        fd = open_device()
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    with Userfaultfd(fd) as uffd:
        assert Feature.EVENT_FORK in uffd.api()
        assert not os.get_inheritable(fd)
        assert uffd.unregister(0, PAGE).errno == "EINVAL"


def test_a_feature_that_nobody_has_is_said(puppet: Puppet) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Unavailable, match="Invalid argument"):
        Userfaultfd.of(puppet, Feature(1 << 60))
    assert os.listdir("/proc/self/fd") == before


def test_it_is_closed_once(puppet: Puppet) -> None:
    uffd = Userfaultfd.of(puppet)
    number = uffd.fd
    uffd.close()
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), number)
    puppet.close()
    uffd.close()
    assert os.read(number, 1) == b"", "the number is somebody else's now"
    os.close(number)
