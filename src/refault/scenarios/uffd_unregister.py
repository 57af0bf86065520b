"""UFFDIO_UNREGISTER and close: whoever still waits must be let go.

After it nobody can resolve the fault: UFFDIO_COPY to memory that is not registered fails.
"""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.linux.foll import Foll
from refault.linux.include.uapi.signal import SIGQUIT
from refault.linux.include.uapi.userfaultfd import CopyMode
from refault.linux.kernel.fork import get_task_mm, put_task_mm
from refault.linux.mm.gup.pages import get_user_pages_remote
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.scenarios.api import scenario

UNREGISTER = "fs/userfaultfd.c: userfaultfd_unregister()"


@scenario(
    source=f"{UNREGISTER}: wakes before the VMA is locked for writing",
    expect={
        "": "lost wakeup",
        "without uffd_fault_vma_lock": "holds",
        "without per_vma_lock": "holds",
        "with unregister_wakes_all_modes": "lost wakeup",
        "with unregister_wakes_last": "holds",
    },
)
def unregister_wakes_all(k: Kernel) -> None:
    """A fault that is under way while its memory is unregistered is not left asleep.

    mmap_lock for writing kept faults out between the wake-up and the end of the registration, for
    as long as they took it. A fault under the lock of its VMA is queued in between, and the wake-up
    is over.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        assert uffd.unregister(page) == 0


@scenario(
    source="Andrea Arcangeli, 2016-12-16, userfaultfd: non-cooperative: wake userfaults after "
    "UFFDIO_UNREGISTER",
    expect={"": "holds", "without unregister_wakes": "lost wakeup"},
)
def unregister_after_read(k: Kernel) -> None:
    """A monitor that answers a message by giving the memory up lets the task go on."""
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        assert uffd.unregister(page) == 0


@scenario(
    source=f"{UNREGISTER}: wakes if the VMA is registered for missing pages",
    expect={
        "": "lost wakeup",
        "without per_vma_lock": "lost wakeup",
        "with unregister_wakes_all_modes": "holds",
        "with unregister_wakes_last": "holds",
    },
)
def unregister_write_protected(k: Kernel) -> None:
    """The same of memory that is registered for write-protection only: nobody is woken.

    The page is unprotected on the way, so the task sleeps for a page that it could write to.
    """
    process = k.mm()
    uffd = k.userfaultfd(process)
    page = process.mmap(uffd=uffd, missing=False, wp=True, contents="page", protected=True)

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread
    def monitor() -> None:
        uffd.read()
        assert uffd.unregister(page) == 0


@scenario(source="fs/userfaultfd.c: userfaultfd_release(): released is set before the locks")
def close_wakes_all(k: Kernel) -> None:
    """A fault at any moment of a close goes on: it sees the flag, or is on the queue, and woken."""
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.close()


@scenario(source="fs/userfaultfd.c: userfaultfd_release(): wakes whatever the waiters wait for")
def close_write_protected(k: Kernel) -> None:
    """A close lets go also those that wait to write to a protected page."""
    page, uffd = k.uffd_page(wp=True, contents="page", protected=True)

    @k.thread
    def worker() -> None:
        page.store(1)

    @k.thread
    def monitor() -> None:
        uffd.close()


@scenario(
    source="mm/userfaultfd.c: userfaultfd_clear_vma(): unprotects before the VMA is locked for "
    "writing; UFFDIO_COPY takes that lock since 6.9",
    expect={
        "": "assertion failure",
        "without uffd_mfill_vma_lock": "holds",
        "without per_vma_lock": "holds",
    },
)
def no_protection_is_left_behind(k: Kernel) -> None:
    """Memory that is not registered for write-protection has no page that is protected.

    A page that UFFDIO_COPY fills protected, after the range was unprotected and before its VMA is
    locked, stays protected for nobody. With mmap_lock for both that could not be.
    """
    page, uffd = k.uffd_page(wp=True)
    filled = k.program.cell("filled", False)

    @k.thread
    def filler() -> None:
        uffd.copy(page, CopyMode.WP)
        filled.write(True)

    @k.thread
    def monitor() -> None:
        assert uffd.unregister(page) == 0
        filled.wait(bool)
        assert not page.is_protected(), "write-protected, and not registered"


@scenario(
    source="Oleg Nesterov, 2019, userfaultfd_release: always remove uffd flags and clear "
    "vm_userfaultfd_ctx",
    expect={"": "holds", "without release_while_dumping": "use after free"},
)
def close_during_a_core_dump(k: Kernel) -> None:
    """A close sets memory free also of a process that is dumping core.

    The mappings of such a process were left alone, and with them a pointer to what the close
    frees. The next fault, here of somebody who looks at the memory of the process, follows it.
    """
    page, uffd = k.uffd_page()

    @k.thread(process=page)
    def program() -> None:
        k.kill(program, SIGQUIT)

    @k.thread
    def monitor() -> None:
        uffd.close()

    @k.thread
    def debugger() -> None:
        if not get_task_mm(page.mm):
            return
        mmap_read_lock(page.mm)
        if get_user_pages_remote(page.mm, page.address, 1, Foll.WRITE).locked:
            mmap_read_unlock(page.mm)
        put_task_mm(page.mm)


@scenario(
    source="Peter Xu, 2024, mm/userfaultfd: reset ptes when close() for wr-protected ones",
    expect={"": "holds", "without close_unprotects": "assertion failure"},
)
def close_unprotects(k: Kernel) -> None:
    """A close leaves no page protected."""
    page, uffd = k.uffd_page(wp=True, contents="page", protected=True)

    @k.thread
    def monitor() -> None:
        uffd.close()
        assert not page.is_protected(), "write-protected, and nobody to be told"
