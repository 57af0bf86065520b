"""What UFFDIO_COPY and its like refuse, and how."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

COPY = "fs/userfaultfd.c: userfaultfd_copy()"
MFILL = "mm/userfaultfd.c: {}"


@litmus(source=MFILL.format("mfill_atomic(): what was filled before an error is told"))
def live_copy_in_part(t: Litmus) -> None:
    """Of three pages the middle one is there: COPY fills the first, says so, and wakes for it."""
    p, one, last = t.memory(pages=3), t.thread("one"), t.thread("last")
    t.monitor.zeropage(p[1])
    one.load(p)
    last.load(p[2])
    t.monitor.copy(p, 3)
    t.monitor.status(one)
    t.monitor.status(last)
    t.monitor.copy(p[1], 2)
    t.monitor.copy(p[2])


@litmus(source=f"{COPY}: validate_range()")
def live_copy_bad_arguments(t: Litmus) -> None:
    """A range has whole pages, and is not empty; a mode has no bits that nobody knows."""
    p = t.memory(pages=2)
    t.monitor.ask("copy", p, offset=1, label="unaligned")
    t.monitor.ask("copy", p, length=100, label="part_of_a_page")
    t.monitor.ask("copy", p, length=0, label="empty")
    t.monitor.ask("copy", p, mode=4, label="mode")
    t.monitor.ask("zeropage", p, mode=2, label="zeropage_mode")
    t.monitor.ask("zeropage", p, length=0, label="zeropage_empty")
    t.monitor.ask("wake", p, length=0, label="wake_empty")
    t.monitor.ask("wake", p, offset=8, label="wake_unaligned")
    t.monitor.ask("writeprotect", p, mode=3, label="protect_dontwake")
    t.monitor.ask("writeprotect", p, mode=4, label="protect_mode")


@litmus(source=MFILL.format("mfill_atomic(): the copy without locks fails"))
def live_copy_from_nowhere(t: Litmus) -> None:
    """A source that is not mapped is -EFAULT; the page is still missing, and nobody is woken."""
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.ask("copy", p, source=False, label="copy")
    t.monitor.status(program)
    t.monitor.copy(p, label="again")


@litmus(source=MFILL.format("uffd_mfill_lock(), validate_dst_vma()"))
def live_copy_to_nowhere(t: Litmus) -> None:
    """What is not registered, not mapped, or only in part, is not filled; WAKE does not mind."""
    p, q, program = t.memory(pages=2), t.memory("q", modes=""), t.thread("program")
    t.monitor.copy(q, label="unregistered")
    t.monitor.zeropage(q, label="zeropage")
    t.monitor.wake(q)
    program.munmap(q)
    t.monitor.copy(q, label="unmapped")
    t.monitor.unregister(p[1])
    t.monitor.copy(p, 2, label="half")
    t.monitor.copy(p, label="rest")


@litmus(source=MFILL.format("mfill_atomic_pte_zeropage(): even a marker is in its way"))
def live_zeropage_over_poison(t: Litmus) -> None:
    """COPY replaces a marker of poison, ZEROPAGE does not."""
    p, program = t.memory(pages=2), t.thread("program")
    t.monitor.poison(p, 2)
    t.monitor.zeropage(p)
    t.monitor.copy(p[1])
    program.load(p[1])


@litmus(source=MFILL.format("mfill_atomic(): a page that is write-protected from the beginning"))
def live_copy_protected(t: Litmus) -> None:
    """COPY with WP brings a page that the waiting store cannot write yet: a second message."""
    p, program = t.memory(modes="missing wp"), t.thread("program")
    program.store(p)
    t.monitor.read()
    t.monitor.copy(p, wp=True)
    t.monitor.read()
    t.monitor.protection(p)
    t.monitor.unprotect(p)
    program.load(p)


@litmus(source=MFILL.format("mfill_atomic(): WP needs memory that is registered for it"))
def live_copy_protected_unregistered(t: Litmus) -> None:
    """COPY with WP is refused where nobody asked to be told of writes."""
    p = t.memory()
    t.monitor.copy(p, wp=True)
    t.monitor.copy(p)
