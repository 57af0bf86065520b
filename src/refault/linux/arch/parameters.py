"""What the parameters of a fault entry can be, as far as they are about errors."""

from __future__ import annotations

from enum import Enum

from refault.linux.include.linux.mm_types import VmFault

POISON = VmFault.HWPOISON | VmFault.HWPOISON_LARGE


class Do(Enum):
    """What an architecture does about an error of ``handle_mm_fault()``."""

    OOM = "out of memory"
    SIGBUS = "SIGBUS"
    SIGSEGV = "SIGSEGV"
    BUG = "BUG"


class Kernel(Enum):
    """When an error of a fault in kernel mode is sent to the exception table."""

    FIRST = "before any error is looked at"
    KILLED = "before, if a fatal signal is pending"
    EACH = "by each kind of error"


Errors = tuple[tuple[VmFault, Do], ...]

BUS_FIRST: Errors = (
    (VmFault.OOM, Do.OOM),
    (VmFault.SIGBUS | POISON, Do.SIGBUS),
    (VmFault.SIGSEGV, Do.SIGSEGV),
)
SEGV_FIRST: Errors = (
    (VmFault.OOM, Do.OOM),
    (VmFault.SIGSEGV, Do.SIGSEGV),
    (VmFault.SIGBUS, Do.SIGBUS),
)
