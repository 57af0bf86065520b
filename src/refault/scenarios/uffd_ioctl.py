"""What ioctls leave behind when they fail half way, or were not meant for this userfaultfd."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.uapi.errno import EFAULT, ENOENT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, UffdFeature, UserStruct
from refault.scenarios.api import scenario

IOCTL = "fs/userfaultfd.c"


@scenario(
    source="mm/userfaultfd.c: validate_dst_vma(): registered, with whichever userfaultfd",
    expect={"": "lost wakeup", "with copy_checks_ctx": "unserved fault"},
)
def copy_by_another_userfaultfd(k: Kernel) -> None:
    """UFFDIO_COPY fills memory of the process that another userfaultfd has registered.

    It wakes the waiters of its own. The task sleeps on the queue of the other one, and its monitor
    has not been told that the page is there.
    """
    process = k.mm()
    mine, other = k.userfaultfd(process), k.userfaultfd(process, name="other")
    page = process.mmap(uffd=mine)

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor_of_the_other() -> None:
        other.copy(page)


@scenario(
    source=f"{IOCTL}: userfaultfd_copy(): put_user() before wake_userfault()",
    expect={"": "lost wakeup", "with wake_despite_efault": "holds"},
)
def result_cannot_be_written(k: Kernel) -> None:
    """A monitor that keeps its arguments in read-only memory fills the page and wakes nobody."""
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        assert uffd.copy(page, struct=UserStruct.READ_ONLY) == -EFAULT


@scenario(
    source=f"{IOCTL}: userfaultfd_writeprotect(): an error wakes nobody",
    expect={"": "lost wakeup", "with wp_wakes_on_error": "holds"},
)
def unprotected_in_part(k: Kernel) -> None:
    """UFFDIO_WRITEPROTECT of a range of which the end is not registered unprotects the beginning.

    It then fails, and those who wait for the beginning are not woken.
    """
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, wp=True, contents="page", protected=True)
    process.mmap(contents="page")

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread
    def monitor() -> None:
        uffd.read()
        assert uffd.unprotect(page, pages=3) == -ENOENT


@scenario(source=f"{IOCTL}: what was filled before an error is woken, and is told")
def filled_in_part(k: Kernel) -> None:
    """UFFDIO_COPY of two pages of which the second is there fills the first and wakes for it."""
    page, uffd = k.uffd_page(pages=2)

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        uffd.zeropage(page[1])
        assert uffd.copy(page, pages=2) == PAGE_SIZE


@scenario(source="mm/userfaultfd.c: mfill_atomic_pte_copy(): why page faults are disabled")
def copy_from_memory_that_faults(k: Kernel) -> None:
    """A source that has to be faulted in is copied with no lock held, so a writer can go between.

    The source is in the process itself, where a fault takes the lock that is held.
    """
    process = k.mm()
    uffd = k.userfaultfd(process)
    page, src = process.mmap(uffd=uffd), process.mmap()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        assert uffd.copy(page, src=src) == PAGE_SIZE

    @k.thread
    def other() -> None:
        src.mprotect(Vm.READ)


@scenario(
    source="mm/userfaultfd.c: mfill_atomic(), what is looked at again after a copy without locks",
    expect={
        "": "assertion failure",
        "with copy_retry_state": "assertion failure",
        "with copy_checks_ctx": "holds",
    },
)
def registered_anew_during_the_copy(k: Kernel) -> None:
    """A page that is copied without locks goes to whom the memory belongs by then.

    The source is memory of a userfaultfd, too, so its fault says when no lock is held. Meanwhile
    the destination is given to another userfaultfd, with a hole that is no longer there
    when its holder comes to fill it. The later fix compares what kind of memory it is, not whose.
    """
    process = k.mm()
    uffd, other = k.userfaultfd(process), k.userfaultfd(process, name="other")
    page, src = process.mmap(uffd=uffd), process.mmap(uffd=other)

    @k.thread
    def monitor() -> None:
        uffd.copy(page, src=src)

    @k.thread
    def manager() -> None:
        other.read()
        uffd.unregister(page)
        other.register(page)
        other.copy(src)
        assert other.copy(page) == PAGE_SIZE, "somebody else has filled it"


@scenario(
    source="Nadav Amit, 2021, userfaultfd: prevent concurrent API initialization",
    expect={"": "holds", "without api_once": "assertion failure"},
)
def handshake_is_made_once(k: Kernel) -> None:
    """Of two handshakes at once one is refused, and the features of the other are what counts."""
    uffd = k.userfaultfd(k.mm(), features=None)

    def shake(features: UffdFeature) -> None:
        if uffd.api(features).ret == 0:
            got = uffd.ctx.features.read()
            assert got == features | UffdFeature.INITIALIZED, "somebody else's features"

    k.thread(name="one")(lambda: shake(UffdFeature.SIGBUS))
    k.thread(name="other")(lambda: shake(UffdFeature.THREAD_ID))
