"""Our own claims, through the door that third parties use."""

from __future__ import annotations

from refault.plugins import hookimpl

from . import (
    fault_retry,
    foll_interruptible,
    gpu_signals,
    hmm_release,
    signals,
    userfaultfd_wake,
)
from .claim import Claim

MODULES = (
    gpu_signals,
    fault_retry,
    foll_interruptible,
    hmm_release,
    userfaultfd_wake,
    signals,
)


@hookimpl
def refault_claims() -> list[Claim]:
    """Return the claims of our modules, one thread after the other."""
    return [claim for module in MODULES for claim in module.CLAIMS]
