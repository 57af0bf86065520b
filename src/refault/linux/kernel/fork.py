"""The lifetime of an address space (``kernel/fork.c``, ``include/linux/sched/mm.h``).

Each thread of a process uses it; when the last one has exited, it is torn down. Processes whose
threads are not told apart, as in stories without signals, live for ever. What becomes of the pages
then is left out unless somebody is to be told, as the notifiers of another page table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import atomic, current_task
from refault.linux.kernel.workqueue import Work, queue_work
from refault.linux.mm.exit_mmap import exit_mmap
from refault.linux.modelled import current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.linux.include.linux.mm_types import MmStruct
    from refault.linux.include.linux.sched.signal import SignalStruct


def _leave(exited: tuple[str, ...], task: str) -> tuple[tuple[str, ...], None]:
    return tuple(sorted((*exited, task))), None


@kernel_function("kernel/fork.c", quiet=True)
def mmput(process: SignalStruct) -> None:
    """Give up the running thread's use of its address space."""
    if process.mm.notifiers is None:
        process.exited.update(_leave, current_task())
        return
    with atomic():
        process.exited.update(_leave, current_task())
        last = not _used(process)
    if last:
        __mmput(process.mm)


@kernel_function("kernel/fork.c", quiet=True)
def mmput_async(mm: MmStruct, work: Work) -> None:
    """The same, for who must not tear the address space down himself: ``work`` does it."""
    process = _process(mm)
    assert process is not None, "a process of threads that exit"
    with atomic():
        process.guests.update(_go, current_task())
        last = not _used(process)
    if last:
        queue_work(work)


@kernel_function("kernel/fork.c", quiet=True)
def __mmput(mm: MmStruct) -> None:
    """The last user has gone: tear the address space down."""
    exit_mmap(mm)


def _used(process: SignalStruct) -> bool:
    alive = process.exited.peek(_in_use, len(process.threads))
    return alive or bool(process.guests.read())


def _enter(guests: tuple[str, ...], task: str) -> tuple[tuple[str, ...], None]:
    return tuple(sorted((*guests, task))), None


def _go(guests: tuple[str, ...], task: str) -> tuple[tuple[str, ...], None]:
    left = list(guests)
    left.remove(task)
    return tuple(left), None


def _process(mm: MmStruct) -> SignalStruct | None:
    return next((p for p in current_kernel().processes if p.mm is mm), None)


@kernel_function("kernel/fork.c", quiet=True)
def get_task_mm(mm: MmStruct) -> bool:
    """Keep the address space of another process in use; False if it is gone.

    What was got is put by ``put_task_mm()``.
    """
    process = _process(mm)
    with atomic():
        alive = mmget_not_zero(mm)
        if alive and process is not None:
            process.guests.update(_enter, current_task())
    return alive


def put_task_mm(mm: MmStruct) -> None:
    """Give up the use of another process's address space (``mmput()``)."""
    process = _process(mm)
    if process is None:
        return
    with atomic():
        process.guests.update(_go, current_task())
        last = process.mm.notifiers is not None and not _used(process)
    if last:
        __mmput(mm)


@kernel_function("include/linux/sched/mm.h", quiet=True)
def mmget_not_zero(mm: MmStruct) -> bool:
    """Tell whether an address space is still in use; it then stays as it is.

    Who has asked this way alone is not counted: only ``get_task_mm()`` keeps it from being torn
    down, which matters in stories where it is.
    """
    process = _process(mm)
    return process is None or _used(process)


def _in_use(exited: tuple[str, ...], users: int) -> bool:
    return len(exited) < users
