"""Events: what a monitor is told of changes to the address space, and what it may do meanwhile."""

from __future__ import annotations

from refault.explore import View, restart
from refault.linux import Kernel, UserFaultFd
from refault.linux.fs.userfaultfd.events import mremap_userfaultfd_fail, mremap_userfaultfd_prep
from refault.linux.include.uapi.errno import EAGAIN
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, UffdEvent, UffdFeature
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.scenarios.api import scenario

REMOVE = UffdFeature.EVENT_REMOVE


def nothing_is_filled_during_an_event(k: Kernel, uffd: UserFaultFd) -> None:
    """While an event has not been read, ioctls that fill answer -EAGAIN."""
    ctx = uffd.ctx

    def guarded(view: View) -> bool:
        return not view[ctx.event_wqh.head] or view[ctx.mmap_changing] > 0

    k.program.invariant("an event that is not read keeps ioctls from filling", guarded)


@scenario(
    source="Nadav Amit, 2021-08-08, userfaultfd: change mmap_changing to atomic",
    expect={
        "": "holds",
        "without mmap_changing_atomic": "invariant violation",
        "without mmap_changing": "invariant violation",
    },
)
def two_events_at_once(k: Kernel) -> None:
    """Of two events the one that is read first does not open the way for ioctls."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=REMOVE)
    page = process.mmap(uffd=uffd, pages=2, contents="page")
    nothing_is_filled_during_an_event(k, uffd)

    k.thread(name="one")(page.dontneed)
    k.thread(name="two")(page[1].dontneed)

    @k.thread
    def monitor() -> None:
        uffd.read()
        uffd.read()


@scenario(source="fs/userfaultfd.c: userfaultfd_event_wait_completion()")
def event_ends_when_it_is_read(k: Kernel) -> None:
    """Whoever changes the address space waits for the event to be read, and for nothing more."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=REMOVE)
    page = process.mmap(uffd=uffd, contents="page")

    @k.thread
    def program() -> None:
        assert page.dontneed() == 0

    @k.thread
    def monitor() -> None:
        msg = uffd.read()
        assert msg is not None
        assert (msg.event, msg.address, msg.length) == (
            UffdEvent.REMOVE,
            page.address,
            PAGE_SIZE,
        )


@scenario(source="fs/userfaultfd.c: userfaultfd_release() wakes event_wqh")
def event_ends_with_the_monitor(k: Kernel) -> None:
    """A program whose monitor goes away before it reads the event goes on."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=REMOVE)
    page = process.mmap(uffd=uffd, contents="page")

    @k.thread
    def program() -> None:
        assert page.dontneed() == 0

    @k.thread
    def monitor() -> None:
        uffd.close()


@scenario(
    source="mm/madvise.c: userfaultfd_remove() comes before the zap",
    expect={"": "assertion failure"},
)
def filled_upon_a_removal(k: Kernel) -> None:
    """A monitor that fills a hole as soon as it reads that it is removed may fill it too early.

    The event comes first, and the page is dropped when it has been read. What was filled in
    between is dropped, too: the monitor has to wait for the next fault.
    """
    process = k.mm()
    uffd = k.userfaultfd(process, features=REMOVE)
    page = process.mmap(uffd=uffd)
    filled = k.program.cell("filled", False)

    @k.thread
    def program() -> None:
        page.dontneed()
        filled.wait(bool)
        assert uffd.copy(page) != PAGE_SIZE, "what the monitor filled is gone"

    @k.thread
    def monitor() -> None:
        uffd.read()
        while uffd.copy(page) == -EAGAIN:
            restart()
        filled.write(True)


@scenario(
    source="Mike Rapoport, 2026, userfaultfd: ensure mremap_userfaultfd_fail() releases "
    "mmap_changing",
    expect={"": "leak", "with mremap_fail_dec": "holds"},
)
def mremap_that_fails(k: Kernel) -> None:
    """An mremap(2) that runs out of memory half way does not shut the ioctls for ever.

    No event is sent, so nobody lowers ``mmap_changing`` again. A monitor that tries again on
    -EAGAIN, as it is told to, tries for ever.
    """
    process = k.mm()
    uffd = k.userfaultfd(process, features=UffdFeature.EVENT_REMAP)
    page = process.mmap(uffd=uffd)

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def program() -> None:
        mmap_write_lock(page.mm)
        ctx = mremap_userfaultfd_prep(page.vma)
        mmap_write_unlock(page.mm)
        mremap_userfaultfd_fail(ctx)

    @k.thread
    def monitor() -> None:
        uffd.read()
        while uffd.copy(page) == -EAGAIN:
            restart()


@scenario(
    source="Andrea Arcangeli, 2017, userfaultfd: non-cooperative: userfaultfd_remove revalidate "
    "vma in MADV_DONTNEED",
    expect={"": "holds", "without remove_revalidates": "use after free"},
)
def unmapped_while_it_is_removed(k: Kernel) -> None:
    """The mapping that a page is dropped from may be gone when its monitor has been told."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=REMOVE)
    page = process.mmap(uffd=uffd, contents="page")

    @k.thread
    def program() -> None:
        page.dontneed()

    @k.thread
    def other() -> None:
        page.munmap()

    @k.thread(daemon=True)
    def monitor() -> None:
        uffd.read()


@scenario(
    source="Gerald Schaefer, 2020, mm/userfaultfd: do not access vma->vm_mm after calling "
    "handle_userfault()",
    expect={"": "holds", "without thp_frees_table_first": "use after free"},
)
def unmapped_while_it_faults(k: Kernel) -> None:
    """A fault that has waited for its monitor does not know whether its mapping is still there."""
    process = k.mm(thp="")
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd)
    process.spare()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def other() -> None:
        page.mmap_fixed()
        uffd.wake(page)


@scenario(
    source="Peter Xu, 2025, mm/userfaultfd: fix uninitialized output field for -EAGAIN race",
    expect={"": "holds", "without eagain_result": "assertion failure"},
)
def told_to_try_again(k: Kernel) -> None:
    """A monitor that comes too early finds so in its struct, too."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=REMOVE)
    page = process.mmap(uffd=uffd)

    @k.thread
    def program() -> None:
        page.dontneed()

    @k.thread
    def prefetcher() -> None:
        assert uffd.copy(page) in (PAGE_SIZE, -EAGAIN), "neither done nor not done"

    @k.thread
    def monitor() -> None:
        uffd.read()
