"""What a monitor is told of changes to the address space."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

EVENTS = "fs/userfaultfd.c: {}"


@litmus(source=EVENTS.format("userfaultfd_remove()"))
def live_remove(t: Litmus) -> None:
    """Who drops a page waits until its monitor has read of it; then the page is missing."""
    t.userfaultfd("EVENT_REMOVE")
    p, program = t.memory(contents="page"), t.thread("program")
    program.dontneed(p)
    t.monitor.status(program)
    t.monitor.poll()
    t.monitor.read()
    t.monitor.status(program)
    program.load(p)
    t.monitor.read()
    t.monitor.copy(p)


@litmus(
    source="Peter Xu, 2025, mm/userfaultfd: fix uninitialized output field for -EAGAIN race",
    expect={"": "holds", "without eagain_result": "holds"},
)
def live_fill_during_remove(t: Litmus) -> None:
    """Until an event has been read nothing can be filled; older kernels forget to say so."""
    t.userfaultfd("EVENT_REMOVE")
    p, program = t.memory(pages=2, modes="missing wp", contents="page"), t.thread("program")
    program.dontneed(p)
    t.monitor.copy(p)
    t.monitor.zeropage(p)
    t.monitor.protect(p[1])
    t.monitor.wake(p)
    t.monitor.status(program)
    t.monitor.read()
    t.monitor.copy(p)


@litmus(source=EVENTS.format("userfaultfd_unmap_complete()"))
def live_unmap(t: Litmus) -> None:
    """Who unmaps memory waits until its monitor has read of the range."""
    t.userfaultfd("EVENT_UNMAP")
    p, program = t.memory(pages=2), t.thread("program")
    program.munmap(p, 2)
    t.monitor.status(program)
    t.monitor.copy(p, label="early")
    t.monitor.read()
    t.monitor.status(program)
    t.monitor.copy(p, label="late")


@litmus(source=EVENTS.format("mremap_userfaultfd_complete(); mm/mremap.c"))
def live_remap(t: Litmus) -> None:
    """A move of a mapping is told twice, where both is asked for: as REMAP, and then as UNMAP."""
    t.userfaultfd("EVENT_REMAP", "EVENT_UNMAP")
    p, q, program = t.memory(), t.room(), t.thread("program")
    program.mremap(p, q)
    t.monitor.status(program)
    t.monitor.read()
    t.monitor.status(program)
    t.monitor.read()
    program.load(q)
    t.monitor.read()
    t.monitor.copy(q)


@litmus(source=EVENTS.format("mremap_userfaultfd_prep()"))
def live_remap_untold(t: Litmus) -> None:
    """Memory that moves away and nobody asked to be told of it is ordinary memory there."""
    p, q, program = t.memory(), t.room(), t.thread("program")
    program.mremap(p, q)
    program.load(q)
    t.monitor.copy(q)


@litmus(source=EVENTS.format("userfaultfd_release() wakes event_wqh"))
def live_close_during_remove(t: Litmus) -> None:
    """A monitor that goes away without reading lets the program go on."""
    t.userfaultfd("EVENT_REMOVE")
    p, program = t.memory(contents="page"), t.thread("program")
    program.dontneed(p)
    t.monitor.status(program)
    t.monitor.close()
    t.monitor.status(program)
    program.load(p)
