"""Who is left asleep on a userfaultfd at the end of a run, and which counts are left over.

This reads a state that is final, from the outside; no task is running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from refault.linux.include.linux.mm_types import MmStruct, Vm
from refault.linux.include.linux.pgtable import Pte, PteMarker
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, PagefaultFlag, UffdMsg

if TYPE_CHECKING:
    from refault.explore import View
    from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx

Asleep = Callable[[str], bool]


class Waiter(NamedTuple):
    """A task asleep in ``handle_userfault()``."""

    task: str
    ctx: UserfaultfdCtx
    queue: str
    read: bool
    msg: UffdMsg


class Sender(NamedTuple):
    """A task asleep in ``userfaultfd_event_wait_completion()``."""

    task: str
    ctx: UserfaultfdCtx
    msg: UffdMsg


def waiters(ctxs: Iterable[UserfaultfdCtx], view: View, asleep: Asleep) -> Iterator[Waiter]:
    """Yield the faults that wait, those read and those unread."""
    for ctx in ctxs:
        for queue, read in ((ctx.fault_pending_wqh, False), (ctx.fault_wqh, True)):
            for entry in view[queue.head]:
                if entry.msg is not None and asleep(entry.task):
                    yield Waiter(entry.task, ctx, queue.name, read, entry.msg)


def senders(ctxs: Iterable[UserfaultfdCtx], view: View, asleep: Asleep) -> Iterator[Sender]:
    """Yield the events that wait to be read."""
    for ctx in ctxs:
        for entry in view[ctx.event_wqh.head]:
            if entry.msg is not None and asleep(entry.task):
                yield Sender(entry.task, ctx, entry.msg)


def reading(ctx: UserfaultfdCtx, view: View, task: str) -> bool:
    """Tell whether a task is in ``read(2)`` or ``poll(2)``."""
    return any(entry.task == task for entry in view[ctx.fd_wqh.head])


def told_reader(ctx: UserfaultfdCtx, view: View, asleep: Asleep) -> list[str]:
    """Return the tasks that sleep in ``read(2)`` or ``poll(2)`` though there is a message."""
    if not (view[ctx.fault_pending_wqh.head] or view[ctx.event_wqh.head]):
        return []
    return [entry.task for entry in view[ctx.fd_wqh.head] if asleep(entry.task)]


def gone_on(view: View, waiter: Waiter) -> str:
    """Say why an access that faulted so would not raise the same fault again; empty if it would."""
    mm, msg = waiter.ctx.mm, waiter.msg
    pte = view[mm.pte(msg.address)]
    if resolved(pte, msg.flags):
        return f"the page is there: its PTE is {pte}"
    if not msg.flags & (PagefaultFlag.WP | PagefaultFlag.MINOR) and _in_file(view, mm, msg.address):
        return "its file has the page by now"
    if not _registered(view, mm, waiter):
        return f"the page is no longer registered with {waiter.ctx} for that"
    return ""


def resolved(pte: Pte, flags: PagefaultFlag) -> bool:
    """Tell whether an access that faulted for this reason gets further with this PTE."""
    if pte.none or pte.marker is PteMarker.UFFD_WP:
        return False
    return not flags & PagefaultFlag.WP or not pte.uffd_wp


def _in_file(view: View, mm: MmStruct, address: int) -> bool:
    """Tell whether the page of the file that is mapped there is in memory."""
    for vma in mm.vmas:
        span = view[vma.span]
        if span is not None and span.start <= address < span.end and vma.vm_file is not None:
            index = span.pgoff + (address - span.start) // PAGE_SIZE
            pages: tuple[tuple[int, int], ...] = view[vma.vm_file.mapping.i_pages]
            return any(page == index for page, _ in pages)
    return False


def _registered(view: View, mm: MmStruct, waiter: Waiter) -> bool:
    flags = waiter.msg.flags
    mode = Vm.UFFD_MINOR if flags & PagefaultFlag.MINOR else Vm.UFFD_MISSING
    mode = Vm.UFFD_WP if flags & PagefaultFlag.WP else mode
    for vma in mm.vmas:
        span, vm_flags = view[vma.span], view[vma.vm_flags.cell]
        if span is None or not isinstance(vm_flags, Vm):
            continue
        if span.start <= waiter.msg.address < span.end:
            return view[vma.uffd_ctx] == waiter.ctx.name and bool(vm_flags & mode)
    return False


def leaks(ctx: UserfaultfdCtx, view: View) -> Iterator[str]:
    """Say which counts are left over though no task is in the kernel any more."""
    changing = view[ctx.mmap_changing]
    if changing:
        yield (
            f"mmap_changing of {ctx} is {changing} and no event is left to be read: "
            "its ioctls answer -EAGAIN for ever"
        )
    for queue in (ctx.fault_pending_wqh, ctx.fault_wqh, ctx.event_wqh, ctx.fd_wqh):
        for entry in view[queue.head]:
            yield f"{entry.task} has returned, and what was on its stack is still on {queue}"
    if view[ctx.released] and view[ctx.refcount]:
        yield f"{ctx} is closed, and {view[ctx.refcount]} references to it are left"
