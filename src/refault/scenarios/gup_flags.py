"""What a caller of GUP asks for, and what the fault below it may do.

A caller says with ``FOLL_*`` what it wants, and with ``locked`` that it can bear to lose mmap_lock.
The fault is told with ``FAULT_FLAG_*``. These stories try all combinations, and look at the flags
where ``handle_mm_fault()`` is called.
"""

from __future__ import annotations

from refault.explore import Cell, choose
from refault.linux import AddressSpace, Kernel, Page
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_flags import FaultFlag
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.signal import SIGKILL, SIGPIPE
from refault.linux.kernel.kprobes import register_kprobe
from refault.linux.mm.gup.fast import get_user_pages_fast
from refault.linux.mm.gup.pages import (
    Pages,
    get_user_pages,
    get_user_pages_remote,
    get_user_pages_unlocked,
    gup_signal_pending,
    pin_user_pages_remote,
    put_page,
    unpin_user_page,
)
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import current
from refault.scenarios.api import scenario
from refault.scenarios.gup_waits import being_read, being_swapped_in

XU = "LKML 2022-06-29, Peter Xu, in reply to mm/gup: Add FOLL_INTERRUPTIBLE"

UNLOCKED, KEPT, REMOTE, PIN = "unlocked", "no locked", "locked", "pin, locked"
FAST = "fast"


def _get(page: Page, how: str, foll: Foll) -> Pages:
    """Get a page by one of the doors of GUP, and give it back; mmap_lock is free after it."""
    if how == UNLOCKED:
        got = get_user_pages_unlocked(page.mm, page.address, 1, foll)
    elif how == FAST:
        got = get_user_pages_fast(page.mm, page.address, 1, foll)
    else:
        mmap_read_lock(page.mm)
        if how == KEPT:
            got = get_user_pages(page.mm, page.address, 1, foll)
        elif how == PIN:
            got = pin_user_pages_remote(page.mm, page.address, 1, foll)
        else:
            got = get_user_pages_remote(page.mm, page.address, 1, foll)
        if got.locked:
            mmap_read_unlock(page.mm)
    for pfn in got.pfns:
        (unpin_user_page if how == PIN else put_page)(pfn)
    return got


def _foll() -> Foll:
    """Any of the flags that have to do with waiting."""
    flags = Foll.NONE
    for flag in (Foll.WRITE, Foll.NOWAIT, Foll.INTERRUPTIBLE):
        flags |= choose(Foll.NONE, flag)
    return flags


def _everyone(k: Kernel) -> None:
    """Each way to call GUP for a page that is not there yet."""
    page = k.mm().mmap()

    @k.thread(process=page)
    def caller() -> None:
        how = choose(UNLOCKED, KEPT, REMOTE, PIN, FAST)
        foll = _foll()
        k.syscall(lambda: _get(page, how, foll))


@scenario(source=XU, claims=("33",), expect={"": "holds"})
def killable_comes_with_retry(k: Kernel) -> None:
    """A fault of GUP is KILLABLE, or INTERRUPTIBLE, only if it may be retried."""

    def look(vma: VmArea, address: int, flags: FaultFlag) -> None:
        if flags & (FaultFlag.KILLABLE | FaultFlag.INTERRUPTIBLE):
            assert flags & FaultFlag.ALLOW_RETRY, f"{flags!r}"

    register_kprobe(k, "handle_mm_fault", look)
    _everyone(k)


@scenario(
    source=XU,
    claims=("36",),
    expect={"": "holds", "with interruptible_without_killable": "assertion failure"},
)
def interruptible_comes_with_killable(k: Kernel) -> None:
    """A fault of GUP is INTERRUPTIBLE only if it is KILLABLE: both come with the same condition."""

    def look(vma: VmArea, address: int, flags: FaultFlag) -> None:
        if flags & FaultFlag.INTERRUPTIBLE:
            assert flags & FaultFlag.KILLABLE, f"{flags!r}"

    register_kprobe(k, "handle_mm_fault", look)
    _everyone(k)


@scenario(
    source=XU,
    claims=("34",),
    expect={
        "": "assertion failure",
        "without foll_unlockable": "holds",
        "6.2": "holds",
        "6.3": "assertion failure",
    },
)
def locked_says_that_it_may_wait(k: Kernel) -> None:
    """That ``locked`` is no null pointer says that a fault of GUP may be retried and may wait.

    It was so to 6.2. Since then ``locked`` is always there, for GUP brings one of its own for those
    who give none, and FOLL_UNLOCKABLE says it.
    """
    given: Cell[bool] = k.program.cell("locked is given", False)

    def look_first(vma: VmArea, address: int, foll: Foll, unshare: bool, *, locked: bool) -> None:
        given.write(locked)

    def look(vma: VmArea, address: int, flags: FaultFlag) -> None:
        may_wait = bool(flags & FaultFlag.ALLOW_RETRY and flags & FaultFlag.KILLABLE)
        assert may_wait == given.read(), f"{flags!r}"

    register_kprobe(k, "faultin_page", look_first)
    register_kprobe(k, "handle_mm_fault", look)
    _everyone(k)


@scenario(source=XU, claims=("34",), expect={"": "holds", "6.2": "holds"})
def who_gives_locked_may_wait(k: Kernel) -> None:
    """A caller that gives ``locked``, or has not taken the lock, may wait, and no other may."""
    page = k.mm().mmap()
    can: Cell[bool] = k.program.cell("the caller can lose the lock", False)

    def look(vma: VmArea, address: int, flags: FaultFlag) -> None:
        may_wait = bool(flags & FaultFlag.ALLOW_RETRY and flags & FaultFlag.KILLABLE)
        assert may_wait == can.read(), f"{flags!r}"

    register_kprobe(k, "handle_mm_fault", look)

    @k.thread(process=page)
    def caller() -> None:
        how = choose(UNLOCKED, KEPT, REMOTE, PIN, FAST)
        foll = _foll()
        can.write(how != KEPT)
        k.syscall(lambda: _get(page, how, foll))


def _several(k: Kernel, process: AddressSpace) -> tuple[dict[str, Page], list[Cell[bool]]]:
    """Pages that a fault has to wait for, and some for which it need not; and when to begin."""
    uffd = k.userfaultfd(process)
    swapped, first = being_swapped_in(k, process)
    pages = {
        "hole": process.mmap(),
        "page": process.mmap(contents="page"),
        "userfaultfd": process.mmap(uffd=uffd),
        "swap": swapped,
    }
    return pages, [first]


@scenario(source=XU, claims=("35",), expect={"": "holds", "6.2": "holds"})
def nowait_keeps_the_lock(k: Kernel) -> None:
    """With FOLL_NOWAIT the lock is never dropped, and nothing is waited for."""
    process = k.mm()
    pages, ready = _several(k, process)

    @k.thread(process=process)
    def caller() -> None:
        for cell in ready:
            cell.wait(bool)
        page = pages[choose(*pages)]
        how = choose(KEPT, REMOTE, PIN)
        foll = Foll.NOWAIT | choose(Foll.NONE, Foll.WRITE) | choose(Foll.NONE, Foll.INTERRUPTIBLE)
        got = k.syscall(lambda: _get(page, how, foll))
        assert got.locked, "mmap_lock was dropped"


@scenario(source=XU, claims=("35",), expect={"": "holds"})
def nowait_keeps_the_lock_for_a_file(k: Kernel) -> None:
    """The same for a page that a file is read into."""
    process = k.mm()
    page, ready = being_read(k, process)

    @k.thread(process=process)
    def caller() -> None:
        ready.wait(bool)
        how = choose(KEPT, REMOTE, PIN)
        foll = Foll.NOWAIT | choose(Foll.NONE, Foll.WRITE)
        got = k.syscall(lambda: _get(page, how, foll))
        assert got.locked, "mmap_lock was dropped"


@scenario(
    source="LKML 2022-06-28, Peter Xu, in reply to John Hubbard: no functional change",
    claims=("37",),
    expect={"": "holds", "with gup_always_interruptible": "assertion failure"},
)
def without_the_flag_only_sigkill_counts(k: Kernel) -> None:
    """Of a caller without FOLL_INTERRUPTIBLE GUP hears fatal signals only, whatever is pending."""
    page = k.mm().mmap()

    def look(vma: VmArea, address: int, flags: FaultFlag) -> None:
        assert not flags & FaultFlag.INTERRUPTIBLE, f"{flags!r}"

    register_kprobe(k, "handle_mm_fault", look)

    def pending() -> None:
        foll = choose(Foll.NONE, Foll.WRITE, Foll.NOWAIT, Foll.UNLOCKABLE)
        fatal = fatal_signal_pending(current())
        # SIGKILL may come in between: a look before and one after.
        answer = gup_signal_pending(foll)
        assert answer in (fatal, fatal_signal_pending(current())), "a signal that is not fatal"
        _get(page, UNLOCKED, foll & Foll.WRITE)

    @k.thread(process=page, handlers={SIGPIPE: lambda: None})
    def caller() -> None:
        k.syscall(pending)

    @k.thread
    def sender() -> None:
        k.kill(caller, choose(SIGPIPE, SIGKILL))
