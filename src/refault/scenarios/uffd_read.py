"""read(2) and poll(2) of messages."""

from __future__ import annotations

from refault.explore import restart
from refault.linux import Kernel
from refault.linux.fs.userfaultfd.poll import Poll
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.include.uapi.userfaultfd import UserStruct
from refault.scenarios.api import scenario

READ = "fs/userfaultfd.c: userfaultfd_read_iter()"


@scenario(
    source="Andrea Arcangeli, 2015-06-15, userfaultfd: avoid missing wakeups during refile in "
    "userfaultfd_read",
    expect={"": "holds", "without refile_seq": "lost wakeup"},
)
def woken_while_it_is_read(k: Kernel) -> None:
    """A fault whose message is just being read is woken by who fills its page meanwhile.

    It moves from one queue to the other then, and is in neither for a moment; who looks at both
    without their lock has to look again.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread(daemon=True)
    def monitor() -> None:
        uffd.read()

    @k.thread
    def prefetcher() -> None:
        uffd.copy(page)


@scenario(source=f"{READ}: the message counts as read", expect={"": "unserved fault"})
def message_cannot_be_copied(k: Kernel) -> None:
    """A message that cannot be copied to the monitor's buffer is lost."""
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread(daemon=True)
    def monitor() -> None:
        assert uffd.read_many(1, buffer=UserStruct.UNMAPPED) == -EFAULT
        uffd.read()
        uffd.copy(page)


@scenario(source=f"{READ}: the message counts as read")
def lost_message_is_asked_again(k: Kernel) -> None:
    """After a message was lost UFFDIO_WAKE makes the task fault again, and tell of it again."""
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread(daemon=True)
    def monitor() -> None:
        assert uffd.read_many(1, buffer=UserStruct.UNMAPPED) == -EFAULT
        uffd.wake(page)
        uffd.read()
        uffd.copy(page)


@scenario(source="fs/userfaultfd.c: userfaultfd_poll()")
def poll_then_read(k: Kernel) -> None:
    """A monitor that polls and then reads all there is serves every fault."""
    process = k.mm()
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd, pages=2)

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def other() -> None:
        page[1].load()

    @k.thread(daemon=True)
    def monitor() -> None:
        while True:
            restart()
            assert uffd.poll() == Poll.IN
            found = uffd.read_many(2)
            for msg in () if isinstance(found, int) else found:
                uffd.copy(page if msg.address == page.address else page[1])


@scenario(source="fs/userfaultfd.c: userfaultfd_poll(): never guarantees that read won't block")
def poll_promises_nothing(k: Kernel) -> None:
    """A fault that poll saw may be gone when its message is to be read."""
    process = k.mm()
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd)
    nothing = k.program.possible("ready, and nothing to read")

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread(daemon=True)
    def monitor() -> None:
        assert uffd.poll() == Poll.IN
        if uffd.read() is None:
            nothing()
        uffd.copy(page)

    @k.thread
    def prefetcher() -> None:
        uffd.copy(page)
