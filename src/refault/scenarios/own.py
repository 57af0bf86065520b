"""Our own catalogue, through the door that third parties use."""

from __future__ import annotations

from types import ModuleType

from refault.plugins import hookimpl
from refault.scenarios import (
    arch_kernel_mode,
    arch_results,
    arch_rules,
    arch_unmapped,
    folio_lock,
    gpu_signals,
    gpu_user_mode,
    hmm_release,
    kvm_notifier,
    kvm_postcopy,
    litmus_uffd_wp,
    locks,
    locks_user_copy,
    mm_cow,
    mm_handlers,
    mm_pages,
    mm_tlb,
    signals_restart,
    signals_sleep,
    uffd_events,
    uffd_files,
    uffd_fork,
    uffd_ioctl,
    uffd_modes,
    uffd_move,
    uffd_read,
    uffd_sleep,
    uffd_unregister,
    uffd_wake_drawing,
    uffd_wake_monitor,
    uffd_wake_order,
    uffd_wake_wp,
    uffd_wake_writers,
    user_copies,
)


@hookimpl
def refault_scenarios() -> list[ModuleType]:
    """Return the modules of the catalogue, in the order in which to list them."""
    return [
        uffd_wake_drawing,
        uffd_wake_order,
        uffd_wake_monitor,
        uffd_wake_writers,
        uffd_wake_wp,
        litmus_uffd_wp,
        kvm_postcopy,
        kvm_notifier,
        hmm_release,
        uffd_unregister,
        uffd_ioctl,
        uffd_move,
        uffd_read,
        uffd_sleep,
        uffd_events,
        uffd_modes,
        uffd_files,
        uffd_fork,
        folio_lock,
        signals_sleep,
        signals_restart,
        user_copies,
        gpu_signals,
        gpu_user_mode,
        mm_handlers,
        mm_cow,
        mm_tlb,
        mm_pages,
        locks,
        locks_user_copy,
        arch_kernel_mode,
        arch_results,
        arch_rules,
        arch_unmapped,
    ]
