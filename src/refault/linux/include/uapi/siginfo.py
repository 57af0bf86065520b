"""What comes with a signal that a page fault sends (``include/uapi/asm-generic/siginfo.h``)."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from refault.linux.include.uapi.signal import Signal


class SiCode(Enum):
    """``si_code`` of SIGSEGV and SIGBUS; by name, for their numbers overlap."""

    SI_KERNEL = "kernel"
    SEGV_MAPERR = "MAPERR"
    SEGV_ACCERR = "ACCERR"
    SEGV_PKUERR = "PKUERR"
    BUS_ADRALN = "ADRALN"
    BUS_ADRERR = "ADRERR"
    BUS_OBJERR = "OBJERR"
    BUS_MCEERR_AR = "MCEERR"

    def __str__(self) -> str:
        return self.name


class SigInfo(NamedTuple):
    """What a fault sends: the signal, why, where, and how many bits of the address count.

    ``lsb`` is ``si_addr_lsb``, the order of the poisoned range in bytes, 0 where it says nothing.
    """

    signo: Signal
    code: SiCode
    address: int
    lsb: int = 0

    def __str__(self) -> str:
        order = f", lsb {self.lsb}" if self.lsb else ""
        return f"{self.signo} {self.code}{order}"
