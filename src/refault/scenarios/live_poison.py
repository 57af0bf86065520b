"""Pages that are declared lost."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

MFILL = "mm/userfaultfd.c: mfill_atomic_pte_poison()"


@litmus(
    source=f"{MFILL}; arch/x86/mm/fault.c: do_sigbus()",
    expect={"": "holds", "without memory_failure": "holds"},
)
def live_poison(t: Litmus) -> None:
    """Who waits for a page that is poisoned gets SIGBUS, and so does who comes later.

    Its code says that the hardware failed, of a kernel that was built to know of such failures.
    """
    p, program, other = t.memory(), t.thread("program"), t.thread("other")
    program.load(p)
    t.monitor.read()
    t.monitor.poison(p)
    other.store(p)
    t.monitor.read()


@litmus(source=f"{MFILL}; mfill_atomic_install_pte() takes a marker for a hole")
def live_copy_over_poison(t: Litmus) -> None:
    """COPY brings a page to where one was poisoned, and then there is nothing to poison."""
    p, program = t.memory(), t.thread("program")
    t.monitor.poison(p)
    t.monitor.poison(p)
    t.monitor.copy(p)
    t.monitor.poison(p)
    program.load(p)
