"""Hand-made traces, written as scripts of one event a line.

worker + handle_userfault            enters a function
worker . add_wait_queue wqh a -> b   one step: an operation, its cell, the value before and after
worker # nothing to wake             notes
worker - handle_userfault            returns
"""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec import structs

from refault.explore.trace import Event, Finding, Order, Trace, count_switches

LOST = Finding(
    "lost wakeup",
    "worker sleeps for ever, the page that it waits for is present",
    (
        "worker: TASK_INTERRUPTIBLE in schedule(), queued on ctx->fault_pending_wqh",
        "the condition is already true: the PTE is present and writable",
        "the last wake-up by monitor came before the enqueue; nobody is left to wake it",
    ),
)

WORDS = [
    "schedule",
    "~quiet",
    "UFFDIO_COPY (write-protected)",
    "userfaultfd_wake_function_with_a_name_that_no_column_can_hold",
    "a remark of many words that says what was seen",
    "x" * 90,
]
KINDS = {"+": "enter", "-": "exit", ".": "op", "#": "note"}


def trace(
    script: str, finding: Finding = LOST, tasks: tuple[str, ...] = (), failed: str = ""
) -> Trace:
    """Build the trace that ``script`` describes; tasks come in order of appearance.

    ``failed`` takes one more step, which broke a property and so left no event.
    """
    events: list[Event] = []
    depth: dict[str, int] = dict.fromkeys(tasks, 0)
    schedule: list[tuple[str, int]] = []
    for line in filter(None, map(str.strip, script.splitlines())):
        task, sign, rest = line.split(maxsplit=2)
        depth.setdefault(task, 0)
        depth[task] -= sign == "-"
        step = len(schedule) - (sign in "-#" and bool(schedule))
        events.append(_event(step, task, sign, depth[task], rest))
        depth[task] += sign == "+"
        if sign == ".":
            schedule.append((task, 0))
    if failed:
        schedule.append((failed, 0))
    return recorded(tuple(depth), tuple(schedule), events, finding)


def recorded(
    tasks: tuple[str, ...],
    schedule: tuple[tuple[str, int], ...],
    events: list[Event],
    finding: Finding = LOST,
) -> Trace:
    """Build a trace of its parts."""
    switches = count_switches(schedule)
    return Trace(tasks, schedule, tuple(events), finding, switches, len(schedule), True)


@st.composite
def random_traces(draw: st.DrawFn) -> Trace:
    """Draw a trace of up to six tasks that call, return, operate and note at random."""
    tasks = [f"task{n}" for n in range(draw(st.integers(1, 6)))]
    stacks: dict[str, list[str]] = {task: [] for task in tasks}
    lines: list[str] = []
    for task in draw(st.lists(st.sampled_from(tasks), max_size=40)):
        sign, name = draw(st.sampled_from("+-.#")), draw(st.sampled_from(WORDS))
        if sign == "+":
            stacks[task].append(name)
        elif sign == "-" and stacks[task]:
            name = stacks[task].pop()
        elif sign == "-":
            continue
        elif sign == ".":
            name = f"write {name.split()[0]} 0 -> {draw(st.integers(0, 1))}"
        lines.append(f"{task} {sign} {name}")
    return trace("\n".join(lines), tasks=tuple(tasks))


@st.composite
def explained_traces(draw: st.DrawFn) -> Trace:
    """Draw a random trace with a random explanation."""
    found = draw(random_traces())
    operations = [event for event in found.events if event.kind == "op"]
    some = st.lists(st.sampled_from(operations), max_size=5) if operations else st.just([])
    orders = tuple(
        Order(a.step, b.step, (a.task, b.task), (a.name, b.name), a.cell, True)
        for a, b in zip(draw(some), draw(some), strict=False)
    )
    moment = st.integers(-1, found.steps)
    return structs.replace(
        found, orders=orders, inevitable=draw(moment), cycle=min(draw(moment), found.steps - 1)
    )


def _event(step: int, task: str, sign: str, depth: int, rest: str) -> Event:
    if sign == ".":
        name, cell, *values = rest.split(maxsplit=2)
        old, _, new = (values[0] if values else "").partition(" -> ")
        return Event(step, task, "op", depth, name, cell, old, new or old)
    return Event(step, task, KINDS[sign], depth, rest)  # type: ignore[arg-type]


DRAWING = trace(
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
    worker - do_anonymous_page
    worker + handle_userfault
    worker + spin_lock(fault_pending_wqh)
    worker . acquire fault_pending_wqh.lock free -> worker
    worker - spin_lock(fault_pending_wqh)
    worker . add_wait_queue fault_pending_wqh () -> (worker)
    worker + set_current_state(INTERRUPTIBLE)
    worker . write worker.state RUNNING -> INTERRUPTIBLE
    worker - set_current_state(INTERRUPTIBLE)
    worker + spin_unlock(fault_pending_wqh)
    worker . release fault_pending_wqh.lock worker -> free
    worker - spin_unlock(fault_pending_wqh)
    monitor + write to page 0
    monitor + handle_mm_fault
    monitor . read pte present
    monitor # #PF on the same PTE due to write-protection
    monitor + do_wp_page
    monitor . spin_lock ptl free -> monitor
    monitor + wp_page_copy
    monitor + ptep_clear_flush
    monitor . write pte present -> none
    monitor # PTE is clear
    monitor - ptep_clear_flush
    worker + userfaultfd_must_wait
    worker . read pte none
    worker # pte_none(pte) -> must wait
    worker - userfaultfd_must_wait
    worker . up_read mmap_lock 1 -> 0
    monitor . write pte none -> present,write
    monitor . spin_unlock ptl monitor -> free
    monitor - wp_page_copy
    monitor - do_wp_page
    monitor - handle_mm_fault
    monitor - write to page 0
    worker + schedule
    """
)
