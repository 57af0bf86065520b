"""Pages for the kernel's own use: what GUP gives, waits for, and refuses."""

from __future__ import annotations

import itertools

import pytest
from tests.linux.stories import found

from refault.explore import UserError, Violation
from refault.linux import Kernel
from refault.linux.include.linux.foll import Foll, faultin_flags, vm_fault_to_errno
from refault.linux.include.linux.mm_flags import ERRORS, FaultFlag, Vm, VmFault, illegal_flags
from refault.linux.include.uapi.errno import EFAULT, EHWPOISON
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.linux.kernel.kprobes import register_kprobe
from refault.linux.mm.folio_lock import folio_lock, folio_unlock
from refault.linux.mm.page_cache import cached
from refault.linux.mm.swap_state import read_swap_cache_async
from refault.linux.syscalls import (
    futex_fault_in,
    futex_key,
    get_mempolicy,
    madvise_populate,
    mlock,
    o_direct_read,
    o_direct_write,
    proc_mem_read,
    proc_mem_write,
    process_vm_readv,
    process_vm_writev,
    read_pipe,
    vmsplice,
)
from refault.linux.user import COPIED

ASKED = [
    sum(flags, Foll.NONE)
    for number in range(5)
    for flags in itertools.combinations(
        (Foll.WRITE, Foll.NOWAIT, Foll.INTERRUPTIBLE, Foll.TRIED, Foll.UNLOCKABLE), number
    )
]


def expect(condition: bool, what: object = "") -> None:
    if not condition:
        raise Violation("test failed", str(what))


@pytest.mark.parametrize("foll", ASKED, ids=repr)
def test_who_can_be_interrupted_can_drop_the_lock(foll: Foll) -> None:
    flags = faultin_flags(foll)
    if flags & FaultFlag.INTERRUPTIBLE:
        assert foll & Foll.UNLOCKABLE
        assert flags & FaultFlag.KILLABLE
    if flags & FaultFlag.KILLABLE:
        assert flags & FaultFlag.ALLOW_RETRY
    if not foll & Foll.TRIED:
        assert not illegal_flags(flags)


def test_every_error_of_a_fault_has_a_number_but_one_that_stays_inside() -> None:
    for error in ERRORS:
        errno = vm_fault_to_errno(error, Foll.NONE)
        assert (errno == 0) == (error is VmFault.FALLBACK)
    assert vm_fault_to_errno(VmFault.HWPOISON, Foll.NONE) == -EFAULT
    assert vm_fault_to_errno(VmFault.HWPOISON, Foll.HWPOISON) == -EHWPOISON


def alone(call: object, want: object, **page: object) -> str:
    """Check what a call on one page returns that nobody else touches."""

    def story(k: Kernel) -> None:
        process = k.mm()
        one = process.mmap(**page)  # type: ignore[arg-type]

        @k.thread(process=process)
        def caller() -> None:
            got = call(one)  # type: ignore[operator]
            expect(got == want, got)

    return found(story)


@pytest.mark.parametrize(
    ("call", "want"),
    [
        (process_vm_readv, (1, (0,))),
        (lambda page: process_vm_writev(page, 7), 1),
        (proc_mem_read, (1, (0,))),
        (madvise_populate, 0),
        (mlock, 0),
        (lambda page: o_direct_read(page, 7), 1),
        (o_direct_write, (1, (0,))),
        (futex_key, 0),
        (futex_fault_in, 0),
        (get_mempolicy, 0),
    ],
)
@pytest.mark.parametrize("contents", ["", "zero page", "page"])
def test_each_caller_fills_a_hole_and_takes_what_is_there(
    call: object, want: object, contents: str
) -> None:
    assert alone(call, want, contents=contents) == "holds"


@pytest.mark.parametrize(
    ("call", "want"),
    [
        (lambda page: process_vm_writev(page, 7), -EFAULT),
        (lambda page: o_direct_read(page, 7), -EFAULT),
        (futex_key, -EFAULT),
        (futex_fault_in, -EFAULT),
        (lambda page: proc_mem_write(page, 7), 1),
    ],
)
def test_only_a_debugger_writes_to_what_is_read_only(call: object, want: object) -> None:
    assert alone(call, want, prot=Vm.READ, contents="zero page") == "holds"


def test_what_a_debugger_writes_is_private() -> None:
    def write_and_load(page: object) -> int:
        proc_mem_write(page, 7)  # type: ignore[arg-type]
        return page.load()  # type: ignore[attr-defined,no-any-return]

    assert alone(write_and_load, 7, prot=Vm.READ, contents="zero page") == "holds"


def test_a_short_count_says_that_the_next_page_failed() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        pages = process.mmap(pages=2)

        @k.thread(process=process)
        def caller() -> None:
            got = process_vm_readv(pages, 3)
            expect(got == (2, (0, 0)), got)

    assert found(story) == "holds"


def served(k: Kernel, call: object, want: object) -> None:
    """A caller whose page comes through userfaultfd."""
    page, uffd = k.uffd_page()

    @k.thread(process=page)
    def caller() -> None:
        got = call(page)  # type: ignore[operator]
        expect(got == want, got)

    k.monitor(uffd)


@pytest.mark.parametrize(
    ("call", "want"),
    [
        (process_vm_readv, (1, (COPIED,))),
        (madvise_populate, 0),
        (o_direct_write, (1, (COPIED,))),
        (futex_key, 0),
    ],
)
def test_who_can_drop_the_lock_waits_for_userfaultfd(call: object, want: object) -> None:
    assert found(lambda k: served(k, call, want)) == "holds"


@pytest.mark.parametrize(("call", "want"), [(proc_mem_read, (0, ())), (futex_fault_in, -EFAULT)])
def test_who_cannot_is_refused(call: object, want: object) -> None:
    assert found(lambda k: served(k, call, want)) == "holds"


def signalled(k: Kernel, *, fatal: bool) -> None:
    page, _uffd = k.uffd_page()

    @k.thread(process=page, handlers={SIGUSR1: lambda: None})
    def caller() -> None:
        process_vm_readv(page)

    @k.thread
    def killer() -> None:
        k.kill(caller, SIGKILL if fatal else SIGUSR1)


def test_a_signal_that_is_not_fatal_does_not_end_the_wait() -> None:
    assert found(lambda k: signalled(k, fatal=False)) != "holds"
    assert found(lambda k: signalled(k, fatal=True)) == "holds"


def test_a_page_in_a_pipe_outlives_its_mapping() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")

        @k.thread(process=process)
        def caller() -> None:
            page.store(5)
            count, (pfn,) = vmsplice(page)
            page.dontneed()
            expect((count, read_pipe(pfn), page.load()) == (1, 5, 0))

    assert found(story) == "holds"


def killed_at_a_slow_disk(k: Kernel, *, swap: bool) -> None:
    """A fault waits for a page that is locked, free, and locked again; and is killed.

    Depending on when, it waits at its first attempt, without the fault lock, or at a later one.
    """
    process = k.mm()
    file = k.file()
    page = process.mmap(contents="page") if swap else process.mmap(file=file)
    slow = k.program.cell("the disk is at it", False)
    never = k.program.cell("the disk has answered", False)

    @k.thread(daemon=True)
    def disk() -> None:
        if swap:
            page.reclaim()
        pfn = read_swap_cache_async(0) if swap else cached(file.mapping, 0)
        folio_lock(pfn)
        slow.write(True)
        folio_unlock(pfn)
        folio_lock(pfn)
        never.wait(bool)

    @k.thread(process=process)
    def program() -> None:
        slow.wait(bool)
        page.load()

    @k.thread
    def killer() -> None:
        k.kill(process, SIGKILL)


@pytest.mark.parametrize("swap", [False, True])
def test_whoever_is_killed_at_a_slow_disk_dies_and_leaves_no_lock_behind(swap: bool) -> None:
    assert found(lambda k: killed_at_a_slow_disk(k, swap=swap)) == "holds"


def test_a_kprobe_sees_what_a_function_is_given() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap()

        def handler(vma: object, address: int, flags: FaultFlag) -> None:
            if flags & FaultFlag.WRITE:
                raise Violation("written", f"{address:#x}")

        register_kprobe(k, "handle_mm_fault", handler)

        @k.thread
        def program() -> None:
            page.load()
            page.store(1)

    assert found(story) == "written"


def test_a_kprobe_on_what_is_not_modelled_is_refused() -> None:
    def story(k: Kernel) -> None:
        register_kprobe(k, "tcp_v4_connect", print)

    with pytest.raises(UserError, match="no function tcp_v4_connect is modelled"):
        found(story)
