"""The lifetime of an address space (``kernel/fork.c``, ``include/linux/sched/mm.h``).

Each thread of a process uses it; when the last one has exited, it is torn down. Processes whose
threads are not told apart, as in stories without signals, live for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import current_task
from refault.linux.modelled import current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.linux.include.linux.mm_types import MmStruct
    from refault.linux.include.linux.sched.signal import SignalStruct


def _leave(exited: tuple[str, ...], task: str, users: int) -> tuple[tuple[str, ...], bool]:
    left = tuple(sorted((*exited, task)))
    return left, len(left) == users


@kernel_function("kernel/fork.c", quiet=True)
def mmput(process: SignalStruct) -> None:
    """Give up the running thread's use of its address space."""
    process.exited.update(_leave, current_task(), len(process.threads))


@kernel_function("include/linux/sched/mm.h", quiet=True)
def mmget_not_zero(mm: MmStruct) -> bool:
    """Tell whether an address space is still in use by a thread; it then stays as it is.

    Tearing it down is not modelled, so nobody needs to be kept from it.
    """
    for process in current_kernel().processes:
        if process.mm is mm:
            return process.exited.peek(_in_use, len(process.threads))
    return True


def _in_use(exited: tuple[str, ...], users: int) -> bool:
    return len(exited) < users
