"""What a caller of GUP can wait for, and which signals end the wait.

GUP waits where a fault does: in userfaultfd for a monitor, on a folio lock for a device. Here the
monitor is at the other end of a network that is down, and the device does not answer; the caller
is sent a signal while it waits. If it comes back at all, it is for the signal.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.explore import Cell, Violation
from refault.linux import AddressSpace, Kernel, Page
from refault.linux.include.linux.foll import Foll
from refault.linux.include.uapi.errno import EINTR
from refault.linux.include.uapi.signal import SIGKILL, SIGPIPE, SIGUSR1, Signal
from refault.linux.mm.folio_lock import folio_lock
from refault.linux.mm.gup.pages import get_user_pages_unlocked, put_page
from refault.linux.mm.page_cache import cached
from refault.linux.mm.swap_state import read_swap_cache_async
from refault.linux.syscalls import fault_in_safely, get_mempolicy, o_direct_read, proc_mem_read
from refault.scenarios.api import scenario

THREAD = "LKML 2022-06-22, thread of Peter Xu: kvm/mm: Allow GUP to respond to non fatal signals"
GUNTHORPE = "LKML 2022-06-25, Jason Gunthorpe, in reply to mm/gup: Add FOLL_INTERRUPTIBLE"
UNSERVED, DEADLOCK = "unserved fault", "deadlock"


def being_swapped_in(k: Kernel, process: AddressSpace) -> tuple[Page, Cell[bool]]:
    """A page on its way in from swap, locked as long as the disk does not answer: for ever.

    Returns it with the cell that tells when it is so.
    """
    page = process.mmap(contents="page")

    def find() -> int:
        page.reclaim()
        return read_swap_cache_async(0)

    return page, _slow_disk(k, find)


def being_read(k: Kernel, process: AddressSpace) -> tuple[Page, Cell[bool]]:
    """A page of a file in the page cache, locked by who reads it, for ever; as above."""
    file = k.file()
    page = process.mmap(file=file)
    return page, _slow_disk(k, lambda: cached(file.mapping, 0))


def _slow_disk(k: Kernel, find: Callable[[], int]) -> Cell[bool]:
    """Lock a folio that is to be read, and wait for the answer."""
    locked = k.program.cell("the page is being read", False)
    answered = k.program.cell("the disk has answered", False)

    @k.thread(daemon=True)
    def disk() -> None:
        folio_lock(find())
        locked.write(True)
        answered.wait(bool)

    return locked


def signalled(
    k: Kernel,
    page: Page,
    call: Callable[[], object],
    sig: Signal = SIGUSR1,
    ready: Cell[bool] | None = None,
) -> None:
    """A thread makes a call, once all is ``ready``, and is sent a signal once it is in there."""
    inside = k.program.cell("the caller is in the kernel", False)

    def enter() -> object:
        inside.write(True)
        return call()

    @k.thread(process=page, handlers={SIGUSR1: _handle, SIGPIPE: _handle})
    def caller() -> None:
        if ready is not None:
            ready.wait(bool)
        k.syscall(enter)

    @k.thread
    def sender() -> None:
        inside.wait(bool)
        k.kill(caller, sig)


def _handle() -> None:
    """A handler that has nothing to do."""


def gup(page: Page, foll: Foll = Foll.INTERRUPTIBLE, pages: int = 1) -> int:
    """Get pages as a driver would, and give them back; the count or -errno."""
    got = get_user_pages_unlocked(page.mm, page.address, pages, foll)
    for pfn in got.pfns:
        put_page(pfn)
    return got.ret


@scenario(
    source=THREAD,
    claims=("30", "36"),
    expect={
        "": "holds",
        "6.1": UNSERVED,
        "without gup_interruptible": UNSERVED,
        "with interruptible_without_killable": "holds",
    },
)
def interruptible_gup_waits_for_userfaultfd(k: Kernel) -> None:
    """With FOLL_INTERRUPTIBLE a signal ends the wait for a page of userfaultfd."""
    page, _uffd = k.uffd_page()
    signalled(k, page, lambda: gup(page))


@scenario(
    source=GUNTHORPE,
    claims=("30", "31", "Q8"),
    expect={"": DEADLOCK, "with folio_lock_interruptible": "holds"},
)
def interruptible_gup_waits_for_swap(k: Kernel) -> None:
    """With FOLL_INTERRUPTIBLE a signal ends the wait for a page that is swapped in: refuted.

    The flag goes down to folio_lock_or_retry(), which does not look at it. If it did, the answer
    would be yes.
    """
    page, ready = being_swapped_in(k, k.mm())
    signalled(k, page, lambda: gup(page), ready=ready)


@scenario(source=THREAD, claims=("30", "31"), expect={"": DEADLOCK})
def interruptible_gup_waits_for_file(k: Kernel) -> None:
    """With FOLL_INTERRUPTIBLE a signal ends the wait for a page that a file is read into: refuted.

    It is the same lock, and lock_folio_maybe_drop_mmap() knows killable waits only.
    """
    page, ready = being_read(k, k.mm())
    signalled(k, page, lambda: gup(page), ready=ready)


@scenario(
    source=THREAD,
    claims=("31", "36"),
    expect={"": "holds", "with interruptible_without_killable": DEADLOCK},
)
def killed_gup_waits_for_swap(k: Kernel) -> None:
    """SIGKILL ends the wait of GUP for a page that is swapped in.

    It takes KILLABLE: of a fault that is INTERRUPTIBLE alone nothing ends that wait.
    """
    page, ready = being_swapped_in(k, k.mm())
    signalled(k, page, lambda: gup(page), SIGKILL, ready)


@scenario(source=THREAD, claims=("31",), expect={"": "holds"})
def killed_gup_waits_for_file(k: Kernel) -> None:
    """SIGKILL ends the wait of GUP for a page that a file is read into."""
    page, ready = being_read(k, k.mm())
    signalled(k, page, lambda: gup(page), SIGKILL, ready)


@scenario(source=THREAD, claims=("31", "33"), expect={"": DEADLOCK})
def killed_debugger_waits_for_swap(k: Kernel) -> None:
    """A fault that may not be retried never waits, so no signal needs to end it: refuted.

    A debugger that reads /proc/PID/mem keeps mmap_lock, so its faults may not be retried. On the
    lock of a page that is swapped in they wait all the same, and not even SIGKILL ends that.
    """
    page, ready = being_swapped_in(k, k.mm())
    signalled(k, page, lambda: proc_mem_read(page), SIGKILL, ready)


@scenario(source=THREAD, claims=("33",), expect={"": "holds"})
def debugger_does_not_wait_for_userfaultfd(k: Kernel) -> None:
    """In userfaultfd a fault that may not be retried does not wait: it fails."""
    page, _uffd = k.uffd_page()
    signalled(k, page, lambda: proc_mem_read(page))


@scenario(
    source=THREAD,
    claims=("32",),
    expect={"": ("-EINTR", "short count"), "6.1": UNSERVED},
)
def interrupted_gup_gives_less(k: Kernel) -> None:
    """A caller with FOLL_INTERRUPTIBLE gets all pages that it asked for: refuted.

    It gets fewer, or -EINTR, and has to be prepared for both.
    """
    process = k.mm()
    uffd = k.userfaultfd(process)
    pages = process.mmap(uffd=uffd, pages=2)

    def two() -> None:
        got = gup(pages, pages=2)
        if got == -EINTR:
            raise Violation("-EINTR", "GUP gives no page")
        if got < 2:
            raise Violation("short count", f"GUP gives {got} page of 2")

    signalled(k, pages, two)

    @k.thread
    def monitor() -> None:
        uffd.copy(pages)


@scenario(
    source=THREAD,
    claims=("40",),
    expect={"": "holds", "with gup_retry_unchecked": "livelock"},
)
def interrupted_gup_comes_to_an_end(k: Kernel) -> None:
    """GUP that any signal ends comes to an end, though no page comes.

    Without the look at signals before it tries again it would not: a pending signal ends each sleep
    in userfaultfd at once, and nothing else would end the loop.
    """
    page, _uffd = k.uffd_page()
    signalled(k, page, lambda: gup(page))


@scenario(
    source=THREAD,
    claims=("40",),
    expect={"": "holds", "with gup_retry_unchecked": "holds"},
)
def killed_gup_comes_to_an_end(k: Kernel) -> None:
    """GUP that is killed comes to an end, though no page comes.

    Also without the look before it tries again: the loop over the pages has one of its own for
    fatal signals.
    """
    page, _uffd = k.uffd_page()
    signalled(k, page, lambda: gup(page, Foll.NONE), SIGKILL)


@scenario(
    source="ae46d2aa6a7f: mm/gup: Let __get_user_pages_locked() return -EINTR for fatal signal",
    expect={"": "holds", "with gup_zero_when_killed": "uninitialised pointer"},
)
def killed_in_get_mempolicy(k: Kernel) -> None:
    """Who asks GUP for a page gets one, or an error: get_mempolicy(2) looks for nothing else.

    In 5.7-rc1 a task that was killed got none, and no error.
    """
    page, _uffd = k.uffd_page()
    signalled(k, page, lambda: get_mempolicy(page), SIGKILL)


@scenario(
    source="475f4dfc021c: mm/gup: fix fixup_user_fault() on multiple retries",
    expect={"": "holds", "with fixup_retries_once": "assertion failure"},
)
def woken_twice_in_fixup(k: Kernel) -> None:
    """A page is there after fixup_user_fault() has said so, however often it was woken for nothing.

    In 5.7-rc1 faults could already be retried more than once, and it took the second time for
    success.
    """
    page, uffd = k.uffd_page()

    @k.thread(process=page)
    def reader() -> None:
        if fault_in_safely(page):
            assert page.mm.pte(page.address).read().present, "there is no page"

    @k.thread
    def monitor() -> None:
        uffd.wake(page)
        uffd.wake(page)
        uffd.copy(page)


@scenario(
    source="LKML 2022-06-28, John Hubbard, in reply to mm/gup: Add FOLL_INTERRUPTIBLE",
    claims=("Q10",),
    expect={"": "holds", "6.1": "holds", "with gup_always_interruptible": "wrong result"},
)
def handled_signal_meets_direct_io(k: Kernel) -> None:
    """A program that handles SIGPIPE reads the same of a file as one that is sent none.

    If GUP heard of each signal, whoever calls, the read would fail with an error that the program
    has never seen of it.
    """
    page, uffd = k.uffd_page()

    def read() -> None:
        got = o_direct_read(page, 7)
        if got != 1:
            raise Violation("wrong result", f"read() returned {got}")

    signalled(k, page, read, SIGPIPE)
    k.monitor(uffd, process=page)
