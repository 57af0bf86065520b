"""Our own claims, through the door that third parties use."""

from __future__ import annotations

from refault.plugins import hookimpl

from . import foll_interruptible, signals, userfaultfd_wake
from .claim import Claim

MODULES = (foll_interruptible, userfaultfd_wake, signals)
from . import fault_retry, signals, userfaultfd_wake

MODULES = (fault_retry, userfaultfd_wake, signals)


@hookimpl
def refault_claims() -> list[Claim]:
    """Return the claims of our modules, one thread after the other."""
    return [claim for module in MODULES for claim in module.CLAIMS]
