"""Hand-made traces, written as scripts of one event a line.

worker + handle_userfault            enters a function
worker . add_wait_queue wqh a -> b   one step: an operation, its cell, the value before and after
worker # nothing to wake             notes
worker - handle_userfault            returns
"""

from __future__ import annotations

from refault.explore.trace import Event, Finding, Trace, count_switches

LOST = Finding(
    "lost wakeup",
    "worker sleeps for ever, the page that it waits for is present",
    (
        "worker: TASK_INTERRUPTIBLE in schedule(), queued on ctx->fault_pending_wqh",
        "the condition is already true: the PTE is present and writable",
        "the last wake-up by monitor came before the enqueue; nobody is left to wake it",
    ),
)

KINDS = {"+": "enter", "-": "exit", ".": "op", "#": "note"}


def trace(script: str, finding: Finding = LOST, tasks: tuple[str, ...] = ()) -> Trace:
    """Build the trace that ``script`` describes; tasks come in order of appearance."""
    events: list[Event] = []
    depth: dict[str, int] = dict.fromkeys(tasks, 0)
    schedule: list[tuple[str, int]] = []
    for line in filter(None, map(str.strip, script.splitlines())):
        task, sign, rest = line.split(maxsplit=2)
        depth.setdefault(task, 0)
        depth[task] -= sign == "-"
        events.append(_event(len(schedule), task, sign, depth[task], rest))
        depth[task] += sign == "+"
        if sign == ".":
            schedule.append((task, 0))
    switches = count_switches(tuple(schedule))
    return Trace(
        tuple(depth), tuple(schedule), tuple(events), finding, switches, len(schedule), True
    )


def _event(step: int, task: str, sign: str, depth: int, rest: str) -> Event:
    if sign == ".":
        name, cell, *values = rest.split(maxsplit=2)
        old, _, new = (values[0] if values else "").partition(" -> ")
        return Event(step, task, "op", depth, name, cell, old, new or old)
    return Event(step, task, KINDS[sign], depth, rest)  # type: ignore[arg-type]


SEED_004 = trace(
    """
    worker + write to page 0
    worker + ~exc_page_fault
    worker + handle_mm_fault
    worker + __handle_mm_fault
    worker + handle_pte_fault
    worker . read pte none
    worker + do_anonymous_page
    worker . spin_lock ptl free -> worker
    worker . read pte none
    worker . spin_unlock ptl worker -> free
    worker + handle_userfault
    monitor + UFFDIO_COPY (write-protected)
    monitor . down_read mmap_lock 0 -> 1
    monitor + mfill_atomic_install_pte
    monitor . spin_lock ptl free -> monitor
    monitor . write pte none -> present,uffd_wp
    monitor . spin_unlock ptl monitor -> free
    monitor - mfill_atomic_install_pte
    monitor . up_read mmap_lock 1 -> 0
    monitor + wake_userfault
    monitor . read fault_pending_wqh ()
    monitor # nothing to wake
    monitor - wake_userfault
    monitor - UFFDIO_COPY (write-protected)
    monitor + UFFDIO_WRITEPROTECT (unprotect)
    monitor + change_pte_range
    monitor . spin_lock ptl free -> monitor
    monitor . write pte present,uffd_wp -> present
    monitor . spin_unlock ptl monitor -> free
    monitor - change_pte_range
    monitor + wake_userfault
    monitor . read fault_pending_wqh ()
    monitor # nothing to wake
    monitor - wake_userfault
    monitor - UFFDIO_WRITEPROTECT (unprotect)
    worker . spin_lock fault_pending_wqh.lock free -> worker
    worker . add_wait_queue fault_pending_wqh () -> (worker)
    worker . set_current_state worker.state R -> S
    worker . spin_unlock fault_pending_wqh.lock worker -> free
    worker + userfaultfd_must_wait
    monitor + write to page 0
    monitor # #PF on the same PTE due to write-protection
    monitor + ~exc_page_fault
    monitor + handle_mm_fault
    monitor + __handle_mm_fault
    monitor + handle_pte_fault
    monitor . read pte present
    monitor + do_wp_page
    monitor . spin_lock ptl free -> monitor
    monitor + wp_page_copy
    monitor + ptep_clear_flush
    monitor . write pte present -> none
    monitor # PTE is clear
    monitor - ptep_clear_flush
    worker . read pte none
    worker # pte_none(pte) -> must wait
    worker - userfaultfd_must_wait
    worker . up_read mmap_lock 1 -> 0
    worker + schedule
    monitor . write pte none -> present,write
    monitor . spin_unlock ptl monitor -> free
    monitor - wp_page_copy
    monitor - do_wp_page
    monitor - handle_pte_fault
    monitor - __handle_mm_fault
    monitor - handle_mm_fault
    monitor - ~exc_page_fault
    monitor - write to page 0
    """
)
