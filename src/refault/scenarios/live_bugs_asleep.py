"""Known bugs that leave a task asleep for good, as far as a program can bring them about alone.

Each shows what the bug looks like from outside; with the patch that repairs it the model allows
only outcomes without it.
"""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus


@litmus(source="fs/userfaultfd.c: userfaultfd_unregister(): wakes if registered for missing pages")
def live_unregister_protected(t: Litmus) -> None:
    """UNREGISTER leaves who waits for write-protection asleep; WAKE still reaches it."""
    p, program = t.memory(modes="wp", contents="page", protected=True), t.thread("program")
    program.store(p)
    t.monitor.read()
    t.monitor.unregister(p)
    t.monitor.status(program)
    t.monitor.wake(p)
    t.monitor.status(program)


@litmus(source="fs/userfaultfd.c: userfaultfd_unregister(): wakes before the VMA is locked")
def live_unregister_races(t: Litmus) -> None:
    """A fault that goes on between the wake-up of UNREGISTER and its end is left asleep."""
    p, program = t.memory(), t.thread("program")
    with t.together():
        program.load(p)
        t.monitor.unregister(p)
    t.monitor.status(program)
    t.monitor.wake(p)
    t.monitor.status(program)


@litmus(source="fs/userfaultfd.c: userfaultfd_read_ctx(): the message counts as read")
def live_message_lost(t: Litmus) -> None:
    """A message that cannot be copied to its reader is gone; WAKE makes the program ask again."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.do("read_nowhere")
    t.monitor.read()
    t.monitor.status(program)
    t.monitor.wake(p)
    t.monitor.read()


@litmus(source="fs/userfaultfd.c: userfaultfd_copy(): put_user() before wake_userfault()")
def live_result_unwritable(t: Litmus) -> None:
    """COPY that cannot write its result has filled the page, and wakes nobody."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.do("copy_read_only", at=p[0], pages=1)
    t.monitor.status(program)
    t.monitor.copy(p)
    t.monitor.status(program)


@litmus(source="fs/userfaultfd.c: userfaultfd_writeprotect(): an error wakes nobody")
def live_unprotected_in_part(t: Litmus) -> None:
    """WRITEPROTECT that fails half way has unprotected the beginning, and wakes nobody."""
    p = t.memory(pages=2, modes="wp", contents="page", protected=True)
    program = t.thread("program")
    t.monitor.unregister(p[1])
    program.store(p)
    t.monitor.unprotect(p, pages=2)
    t.monitor.protection(p)
    t.monitor.status(program)


@litmus(source="fs/userfaultfd.c: userfaultfd_must_wait(): a marker counts as none")
def live_poison_races(t: Litmus) -> None:
    """A fault that is queued when its page is poisoned already takes the marker for a hole."""
    p, program = t.memory(), t.thread("program")
    with t.together():
        program.load(p)
        t.monitor.poison(p)
    t.monitor.status(program)
    t.monitor.wake(p)
    t.monitor.status(program)


@litmus(
    source="LKML 2020-12-21, Nadav Amit, Re: [RFC PATCH 03/13] selftests/vm/userfaultfd: wake "
    "after copy failure",
    claims=("52", "53"),
)
def live_zeropage_then_store(t: Litmus) -> None:
    """A store copies the zero page, and the program looks just when its PTE is none."""
    p, program, filler = t.memory(), t.thread("program"), t.thread("filler")
    with t.together():
        program.load(p)
        filler.zeropage(p)
        filler.store(p)
    t.monitor.status(program)
    t.monitor.wake(p)
    t.monitor.status(program)


@litmus(source="mm/userfaultfd.c: move_pages(): the error of a round outlives it, since 6.18")
def live_move_races(t: Litmus) -> None:
    """MOVE of a page whose PTE changes meanwhile moves it and says that it did not.

    It wakes nobody then, and a monitor believes that somebody else has filled the page.
    """
    p, src = t.memory(), t.memory("q", modes="", contents="page")
    mover, other = t.thread("mover"), t.thread("other")
    with t.together():
        mover.move(p, src)
        other.do("madv_free", "", at=src[0])
    mover.load(p)


@litmus(
    source="after LKML 2020-12-21, Nadav Amit, Re: [RFC PATCH 03/13] selftests/vm/userfaultfd: "
    "wake after copy failure"
)
def live_zero_page_unprotected(t: Litmus) -> None:
    """A store that is queued when its page is unprotected already waits for a write bit.

    It is the zero page, which stays read-only until a store copies it.
    """
    p, program = t.memory(modes="wp", contents="zero page", protected=True), t.thread("program")
    with t.together():
        program.store(p)
        t.monitor.unprotect(p)
    t.monitor.status(program)
    t.monitor.wake(p)
    t.monitor.status(program)
