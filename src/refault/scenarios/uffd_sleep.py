"""How a fault sleeps: what ends the sleep, and what comes of it."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.arch.mmu import copy_from_user
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.sched import TASK_NORMAL
from refault.linux.include.uapi.errno import EEXIST, ESRCH
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, UffdFeature
from refault.linux.kernel.sched.core import try_to_wake_up
from refault.linux.mm.gup.pages import get_user_pages_remote
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.scenarios.api import scenario

ONCE = "without fault_retry_unlimited, without per_vma_lock"
"""A fault can be retried once; an attempt under the lock of a VMA does not count."""

HANDLE = "fs/userfaultfd.c: handle_userfault()"


@scenario(
    source="Andrea Arcangeli, 2016, userfaultfd: fix SIGBUS resulting from false rwsem wakeups",
    expect={
        "": "holds",
        "without uffd_wait_once": "holds",
        "5.6": "holds",
        "4.9": "SIGBUS",
        f"{ONCE}, without uffd_wait_once": "holds",
        f"{ONCE}, without uffd_wait_once, without uffd_waken": "SIGBUS",
    },
)
def false_wakeup(k: Kernel) -> None:
    """A wake-up that was meant for an earlier sleep does no harm: the task faults again.

    It did where a fault could be retried only once, until the sleep was one that only the wake-up
    of the userfaultfd ends.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def waker() -> None:
        try_to_wake_up(k.task("worker"), TASK_NORMAL)

    k.monitor(uffd)


@scenario(
    source="Peter Xu, 2020, mm: allow VM_FAULT_RETRY for multiple times",
    expect={
        "": "holds",
        "without fault_retry_unlimited": "holds",
        ONCE: "SIGBUS",
        "5.6": "SIGBUS",
    },
)
def woken_for_nothing(k: Kernel) -> None:
    """A monitor may wake a task without having filled its page: the task asks again."""
    page, uffd = k.uffd_page()

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread(daemon=True)
    def monitor() -> None:
        uffd.read()
        uffd.wake(page)
        uffd.read()
        uffd.copy(page)


@scenario(
    source="Peter Xu, 2025, mm/userfaultfd: fix release hang over concurrent GUP",
    expect={"": "holds", "without uffd_release_retry": "livelock"},
)
def close_while_gup_faults(k: Kernel) -> None:
    """A close gets on beside get_user_pages(), which keeps mmap_lock while it has no answer.

    NOPAGE says "look again", and a fault of user mode drops the lock for that. GUP does not, and
    the close waits for it.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def gup() -> None:
        mmap_read_lock(page.mm)
        if get_user_pages_remote(page.mm, page.address, 1, Foll.WRITE).locked:
            mmap_read_unlock(page.mm)

    @k.thread
    def monitor() -> None:
        uffd.close()


@scenario(source=f"{HANDLE}: TASK_INTERRUPTIBLE for a fault of user mode")
def signal_interrupts_the_sleep(k: Kernel) -> None:
    """A signal is delivered to a task that waits for its page; then the task faults again."""
    page, uffd = k.uffd_page()
    handled = k.program.cell("handled", False)

    @k.thread(process=page, handlers={SIGUSR1: lambda: handled.write(True)})
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        k.kill(worker, SIGUSR1)
        handled.wait(bool)
        uffd.copy(page)


@scenario(
    source=f"{HANDLE}: TASK_INTERRUPTIBLE also for a fault of the kernel, since 5.7",
    expect={
        "": "livelock",
        "without fault_flag_interruptible": "deadlock",
        "5.6": "deadlock",
    },
)
def signal_cannot_be_delivered(k: Kernel) -> None:
    """A signal that comes while a system call faults ends no sleep, and makes it no sleep.

    The system call has to finish before the handler runs, and needs the page for that. Each time
    the fault is taken again schedule() finds the signal and returns at once: the task burns its
    CPU, and sends a message a round, until the monitor has filled the page. Here that waits for
    the handler, and who slept instead, as up to 5.6, would do so for ever.
    """
    page, uffd = k.uffd_page()
    handled = k.program.cell("handled", False)

    @k.thread(process=page, handlers={SIGUSR1: lambda: handled.write(True)})
    def worker() -> None:
        k.syscall(lambda: copy_from_user(page.mm, page.address) or 0)

    @k.thread
    def monitor() -> None:
        k.kill(worker, SIGUSR1)
        handled.wait(bool)
        uffd.copy(page)


@scenario(source=f"{HANDLE}: a sleep that SIGKILL ends")
def kill_ends_the_sleep(k: Kernel) -> None:
    """A task that waits for its page can be killed, though nobody serves it."""
    page, _ = k.uffd_page()

    @k.thread(process=page)
    def worker() -> None:
        page.load()

    @k.thread
    def killer() -> None:
        k.kill(worker, SIGKILL)


@scenario(
    source="fs/userfaultfd.c: userfaultfd_event_wait_completion(): TASK_KILLABLE",
    expect={"": "holds"},
)
def kill_ends_the_wait_for_a_reader(k: Kernel) -> None:
    """A program that waits for its event to be read can be killed; nothing is left over."""
    process = k.mm()
    uffd = k.userfaultfd(process, features=UffdFeature.EVENT_REMOVE)
    page = process.mmap(uffd=uffd, contents="page")

    @k.thread(process=page)
    def program() -> None:
        page.dontneed()

    @k.thread
    def killer() -> None:
        k.kill(program, SIGKILL)


@scenario(source=f"{HANDLE}: UFFD_USER_MODE_ONLY")
def user_mode_only(k: Kernel) -> None:
    """A userfaultfd for user mode only does not stop system calls: they fail where they fault."""
    process = k.mm()
    uffd = k.userfaultfd(process, user_mode_only=True)
    page = process.mmap(uffd=uffd)

    @k.thread
    def program() -> None:
        assert k.syscall(lambda: copy_from_user(page.mm, page.address)) is None
        page.load()

    k.monitor(uffd)


@scenario(source="fs/userfaultfd.c: mmget_not_zero() fails: -ESRCH")
def monitor_of_the_dead(k: Kernel) -> None:
    """A monitor that fills for a process that was killed is told that it is gone."""
    page, uffd = k.uffd_page()

    @k.thread(process=page)
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        k.kill(worker, SIGKILL)
        assert uffd.copy(page) in (PAGE_SIZE, -ESRCH)
        assert uffd.copy(page) in (-EEXIST, -ESRCH)
