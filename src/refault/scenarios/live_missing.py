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


@litmus(source=FAULT)
def live_missing_write(t: Litmus) -> None:
    """A store to a missing page is told as a write, and is done to the page that COPY brings."""
    p, program = t.memory(), t.thread("program")
    program.store(p)
    t.monitor.read()
    t.monitor.copy(p)
    program.load(p)


@litmus(source=f"{FAULT}; userfaultfd_wake_function()")
def live_wake_unresolved(t: Litmus) -> None:
    """Who is woken and finds nothing faults again, and is told again each time."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.wake(p)
    t.monitor.read()
    t.monitor.wake(p)
    t.monitor.read()
    t.monitor.read()
    t.monitor.copy(p)


@litmus(source="fs/userfaultfd.c: userfaultfd_wake_function(), userfaultfd_ctx_read()")
def live_copy_without_reading(t: Litmus) -> None:
    """COPY wakes also whose message nobody has read, and then there is none to be read."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.poll()
    t.monitor.copy(p)
    t.monitor.poll()
    t.monitor.read()


@litmus(source="fs/userfaultfd.c: userfaultfd_release()")
def live_close_while_blocked(t: Litmus) -> None:
    """Closing the userfaultfd sets free who waits: its memory is ordinary memory, of zeroes."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.close()
    program.load(p)


@litmus(source="fs/userfaultfd.c: userfaultfd_unregister()")
def live_unregister_while_blocked(t: Litmus) -> None:
    """UNREGISTER sets free who waits; what comes later for the range finds nothing to fill."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.unregister(p)
    t.monitor.copy(p)
    t.monitor.wake(p)


@litmus(source="mm/memory.c: do_anonymous_page(): a hole is missing whatever it held before")
def live_dontneed_makes_a_hole(t: Litmus) -> None:
    """A page that the program drops is missing again."""
    p, program = t.memory(contents="page"), t.thread("program")
    program.load(p)
    program.dontneed(p)
    program.load(p)
    t.monitor.read()
    t.monitor.copy(p)


@litmus(source="fs/userfaultfd.c: userfaultfd_poll(), userfaultfd_read_iter()")
def live_blocking_descriptor(t: Litmus) -> None:
    """A descriptor that blocks cannot be polled; its readers wait for the next message."""
    t.userfaultfd(blocking=True)
    p, program, reader = t.memory(), t.thread("program"), t.thread("reader")
    t.monitor.poll()
    reader.read()
    t.monitor.status(reader)
    program.load(p)
    t.monitor.copy(p)


@litmus(source="fs/userfaultfd.c: userfaultfd_copy(); kernel/exit.c: exit_mm()")
def live_copy_after_exit(t: Litmus) -> None:
    """In a process that is gone there is nothing to fill, and waking nobody is no error."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.kill(program, "SIGKILL")
    t.monitor.status(program)
    t.monitor.copy(p)
    t.monitor.zeropage(p)
    t.monitor.wake(p)
    t.monitor.register(p)
    t.monitor.unregister(p)


@litmus(source="fs/userfaultfd.c: userfault_msg(): UFFD_FEATURE_THREAD_ID")
def live_thread_id(t: Litmus) -> None:
    """With THREAD_ID a message says which thread it was."""
    t.userfaultfd("THREAD_ID")
    p, one, other = t.memory(pages=2), t.thread("one"), t.thread("other")
    other.store(p[1])
    one.load(p)
    t.monitor.read()
    t.monitor.read()
    t.monitor.copy(p, 2)
