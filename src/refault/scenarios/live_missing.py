"""Missing pages: what a program sees of a fault that a monitor resolves."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

FAULT = "fs/userfaultfd.c: handle_userfault()"


@litmus(source=FAULT)
def live_missing_copy(t: Litmus) -> None:
    """A load of a missing page sleeps until COPY brings the page, and then finds it."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.status(program)
    t.monitor.read()
    t.monitor.copy(p)
    t.monitor.status(program)


@litmus(source=FAULT)
def live_missing_zeropage(t: Litmus) -> None:
    """ZEROPAGE brings a page of zeroes, once: the second time it is there."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.zeropage(p)
    t.monitor.zeropage(p)


@litmus(source="fs/userfaultfd.c: userfaultfd_copy(); Nadav Amit, 2021", claims=("50",))
def live_eexist_wakes_nobody(t: Litmus) -> None:
    """COPY without a wake-up leaves the program asleep, and so does the COPY that finds the page.

    WAKE ends its sleep.
    """
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.copy(p, wake=False)
    t.monitor.status(program)
    t.monitor.copy(p)
    t.monitor.status(program)
    t.monitor.wake(p)


@litmus(source=FAULT)
def live_two_on_one_page(t: Litmus) -> None:
    """Two threads on one page are two messages, and one COPY wakes both."""
    p, one, other = t.memory(), t.thread("one"), t.thread("other")
    one.load(p)
    other.store(p)
    t.monitor.read()
    t.monitor.read()
    t.monitor.copy(p)
    t.monitor.status(one)
    t.monitor.status(other)
