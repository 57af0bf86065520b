"""Our own patches, through the door that third parties use."""

from __future__ import annotations

from refault.patches import (
    arch_fault,
    configuration,
    cow,
    faults,
    folio_lock,
    generic_page_fault,
    gpu,
    guards,
    gup,
    hmm,
    kvm,
    notifiers,
    nouveau,
    prefetch,
    reuse,
    rwsem,
    selftest,
    signals,
    stackrot,
    tlb,
    uffd_events,
    uffd_fault,
    uffd_features,
    uffd_ioctl,
    uffd_locks,
    uffd_move,
    uffd_release,
    user_copies,
    userfaultfd,
    vma_lock,
)
from refault.patches.patch import Patch
from refault.plugins import hookimpl

MODULES = (
    kvm,
    notifiers,
    hmm,
    nouveau,
    rwsem,
    gup,
    guards,
    reuse,
    cow,
    faults,
    tlb,
    userfaultfd,
    uffd_fault,
    uffd_locks,
    uffd_move,
    uffd_release,
    uffd_events,
    uffd_ioctl,
    uffd_features,
    selftest,
    vma_lock,
    stackrot,
    arch_fault,
    folio_lock,
    signals,
    user_copies,
    gpu,
    generic_page_fault,
    prefetch,
    configuration,
)


@hookimpl
def refault_patches() -> list[Patch]:
    """Return the patches that our modules define, in the order of their text."""
    return [p for module in MODULES for p in vars(module).values() if isinstance(p, Patch)]
