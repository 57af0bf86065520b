"""Fork, munmap and mremap of memory that a userfaultfd serves."""

from __future__ import annotations

from refault.explore import restart
from refault.linux import Kernel
from refault.linux.include.uapi.errno import EAGAIN, EEXIST, EMFILE, ENOENT
from refault.linux.include.uapi.signal import SIGKILL
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, UffdEvent, UffdFeature
from refault.scenarios.api import scenario

FORK, UNMAP, REMAP = UffdFeature.EVENT_FORK, UffdFeature.EVENT_UNMAP, UffdFeature.EVENT_REMAP
EVENTS = "fs/userfaultfd.c: {}"


@scenario(source=EVENTS.format("dup_userfaultfd()"))
def child_is_served(k: Kernel) -> None:
    """A monitor that is told of a fork serves the child by the descriptor that comes with it."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=FORK)
    page = process.mmap(uffd=uffd)
    child = process.child()

    @k.thread
    def program() -> None:
        process.fork(child)

    @k.thread
    def in_child() -> None:
        child.is_born()
        page.of(child).load()

    @k.thread
    def monitor() -> None:
        msg = uffd.read()
        assert msg is not None
        assert msg.event is UffdEvent.FORK
        other = uffd.child(msg)
        other.read()
        assert other.copy(page.of(child)) == PAGE_SIZE


@scenario(source=EVENTS.format("dup_userfaultfd(): without EVENT_FORK the child is set free"))
def child_of_one_who_did_not_ask(k: Kernel) -> None:
    """Without the event a child has ordinary memory, and nobody waits for a monitor."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd)
    child = process.child()

    @k.thread
    def program() -> None:
        process.fork(child)

    @k.thread
    def in_child() -> None:
        child.is_born()
        page.of(child).store(1)


@scenario(
    source="Mike Rapoport, 2018-05-23, userfaultfd: prevent non-cooperative events vs "
    "mcopy_atomic races",
    expect={
        "": "holds",
        "without mmap_changing": "assertion failure",
        "without map_changing_lock": "holds",
    },
)
def filled_during_a_fork(k: Kernel) -> None:
    """A page that a monitor fills before it has read of a fork is a page of the child as well.

    It was there when the child was copied. A copy that comes later has to fail, for the monitor
    could not know which of the two it was. Beside mmap_changing the lock of the VMA sees to that,
    which a fork takes for writing; a removal does not.
    """
    process = k.mm()
    uffd = k.userfaultfd(process, features=FORK)
    page = process.mmap(uffd=uffd)
    child = process.child()
    filled = k.program.cell("filled", False)

    @k.thread
    def program() -> None:
        process.fork(child)

    @k.thread
    def prefetcher() -> None:
        filled.write(uffd.copy(page) == PAGE_SIZE)

    @k.thread
    def monitor() -> None:
        before = filled.read()
        msg = uffd.read()
        if before and msg is not None:
            assert uffd.child(msg).copy(page.of(child)) == -EEXIST, "the child has no such page"


@scenario(
    source="Andrea Arcangeli, 2018, userfaultfd: clear the vma->vm_userfaultfd_ctx if "
    "UFFD_EVENT_FORK fails",
    expect={"": "holds", "without fork_abort_clears_ctx": "use after free"},
)
def fork_that_nobody_is_told_of(k: Kernel) -> None:
    """A child whose fork was not told, as the monitor went away, has ordinary memory."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=FORK)
    page = process.mmap(uffd=uffd)
    child = process.child()

    @k.thread
    def program() -> None:
        process.fork(child)

    @k.thread
    def in_child() -> None:
        child.is_born()
        page.of(child).load()

    @k.thread
    def monitor() -> None:
        uffd.close()


@scenario(source=EVENTS.format("resolve_userfault_fork() fails: the event is put back"))
def fork_is_told_again(k: Kernel) -> None:
    """A monitor without a descriptor left is told of the fork again when it has one."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=FORK)
    process.mmap(uffd=uffd)
    child = process.child()

    @k.thread
    def program() -> None:
        process.fork(child)

    @k.thread
    def monitor() -> None:
        assert uffd.read_many(1, may_open=False) == -EMFILE
        msg = uffd.read()
        assert msg is not None
        assert msg.event is UffdEvent.FORK


@scenario(source=EVENTS.format("resolve_userfault_fork(), while the parent is killed"))
def fork_is_killed_while_it_is_told(k: Kernel) -> None:
    """A parent that is killed while its fork is being told leaves nothing behind."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=FORK)
    page = process.mmap(uffd=uffd)
    child = process.child()

    @k.thread(process=page)
    def program() -> None:
        process.fork(child)

    @k.thread(daemon=True)
    def monitor() -> None:
        msg = uffd.read()
        if msg is not None:
            uffd.child(msg).close()

    @k.thread
    def killer() -> None:
        k.kill(program, SIGKILL)


@scenario(source=EVENTS.format("userfaultfd_unmap_complete()"))
def unmapped_memory_is_not_filled(k: Kernel) -> None:
    """After the message of a munmap(2) filling fails; before it is read, filling has to wait."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=UNMAP)
    page = process.mmap(uffd=uffd)

    @k.thread
    def program() -> None:
        page.munmap()

    @k.thread
    def monitor() -> None:
        assert uffd.copy(page) in (PAGE_SIZE, -EAGAIN, -ENOENT)
        msg = uffd.read()
        assert msg is not None
        assert msg.event is UffdEvent.UNMAP
        while (filled := uffd.copy(page)) == -EAGAIN:
            restart()
        assert filled == -ENOENT


@scenario(source=EVENTS.format("mremap_userfaultfd_complete()"))
def moved_memory_is_served(k: Kernel) -> None:
    """A monitor that is told of an mremap(2) serves the memory where it is now."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=REMAP | UNMAP)
    page = process.mmap(uffd=uffd)
    room = process.room()

    @k.thread
    def program() -> None:
        page.mremap(room)
        room.load()

    @k.thread(daemon=True)
    def monitor() -> None:
        msg = uffd.read()
        assert msg is not None
        assert (msg.event, msg.address, msg.to) == (UffdEvent.REMAP, page.address, room.address)
        while True:
            restart()
            msg = uffd.read()
            if msg is not None and msg.event is UffdEvent.PAGEFAULT:
                uffd.copy(room)


@scenario(
    source="mm/userfaultfd.c: userfaultfd_unregister() splits",
)
def half_is_unregistered(k: Kernel) -> None:
    """A mapping of which one half is unregistered is served in the other half only."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, pages=2)
    process.spare()

    @k.thread
    def program() -> None:
        page[1].load()
        page.load()

    @k.thread
    def monitor() -> None:
        assert uffd.unregister(page[1]) == 0
        assert uffd.wake(page[1]) == 0
        uffd.read()
        uffd.copy(page)
