"""Known bugs after which a page is not what the program was told, and nobody sleeps."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus


@litmus(source="mm/ksm.c: replace_page() makes the PTE from vm_page_prot")
def live_merging_unprotects(t: Litmus) -> None:
    """KSM maps its page without the protection, and the next write tells nobody."""
    p, program = t.memory(modes="missing wp"), t.thread("program")
    t.monitor.copy(p, wp=True)
    t.monitor.do("merge", at=p[0])
    t.monitor.protection(p)
    program.store(p)
    t.monitor.read()


@litmus(source="mm/userfaultfd.c: userfaultfd_clear_vma() unprotects before the VMA is locked")
def live_protected_for_nobody(t: Litmus) -> None:
    """COPY with MODE_WP during UNREGISTER leaves a page protected that nobody is registered for."""
    p, filler = t.memory(modes="missing wp"), t.thread("filler")
    with t.together():
        filler.copy(p, wp=True)
        t.monitor.unregister(p)
    t.monitor.protection(p)


@litmus(source="mm/userfaultfd.c: mfill_atomic() looks less closely the second time")
def live_registered_anew(t: Litmus) -> None:
    """COPY that had to fault in its source goes on, though the memory is registered otherwise."""
    p, src, filler = t.memory(), t.memory("q"), t.thread("filler")
    filler.do("copy_from", "filled", at=p[0], src=src[0], pages=1, wp=False)
    t.monitor.unregister(p)
    t.monitor.register(p, modes="wp")
    t.monitor.copy(src)
    t.monitor.status(filler)


@litmus(
    source="Peter Xu, 2024, mm/userfaultfd: reset ptes when close() for wr-protected ones",
)
def live_close_protected(t: Litmus) -> None:
    """A close leaves no page protected, since 6.9."""
    p = t.memory(modes="wp", contents="page", protected=True)
    t.thread("program")
    t.monitor.protection(p, label="before")
    t.monitor.close()
    t.monitor.protection(p)
