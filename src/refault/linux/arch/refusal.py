"""When no fault may be handled, for the one who faults must not sleep.

``pagefault_disable()`` makes a section in which a user access that faults fails at once. So does a
spinlock, where the kernel counts preemption. Interrupts are not modelled: ``in_interrupt()`` is
never true.
"""

from __future__ import annotations

from enum import Enum

from refault.linux.kernel.locking.lockdep import in_atomic, pagefaults_disabled
from refault.linux.modelled import kernel_function


class Disabled(Enum):
    """What an architecture looks at before it handles a fault."""

    FAULTHANDLER = "faulthandler_disabled()"
    PAGEFAULT = "pagefault_disabled()"
    INTERRUPT = "in_interrupt()"
    TRAPS = "faulthandler_disabled(), in traps.c"


@kernel_function("include/linux/uaccess.h", quiet=True)
def pagefault_disabled() -> bool:
    """Tell whether the running task is in a section without page faults."""
    return pagefaults_disabled()


@kernel_function("include/linux/uaccess.h", quiet=True)
def faulthandler_disabled() -> bool:
    """Tell whether it is, or must not sleep for another reason."""
    return pagefault_disabled() or in_atomic()


def refused(test: Disabled) -> bool:
    """Tell whether an architecture that makes this test refuses to handle a fault now."""
    if test is Disabled.INTERRUPT:
        return False
    return pagefault_disabled() if test is Disabled.PAGEFAULT else faulthandler_disabled()
