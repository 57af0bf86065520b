"""What is finer or coarser in a kernel than in the model, each with the reason.

Three lists, and no others, make a recording and a run of the model comparable:

* ``NAMES``: a function of the model that the recorded kernel has under another name, because it
  was renamed, or is inlined into the one that is recorded;
* ``BELOW``: functions of the kernel that the model has no function for. A test holds that none of
  them is modelled; where one is, only calls from a place that is not modelled are listed;
* what a recording itself says of the build: what was not asked for and what cannot be traced.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.patches.version import Version, parse


class Name(NamedTuple):
    """A modelled function, and the name of the recorded one from a version on, up to another."""

    modelled: str
    recorded: str
    reason: str
    since: str = ""
    until: str = ""

    def holds(self, version: Version) -> bool:
        """Tell whether it is so in a version."""
        early = self.since and version < parse(self.since)
        return not early and not (self.until and version >= parse(self.until))


class Below(NamedTuple):
    """A recorded function that the model has no counterpart of; ``callers`` empty: whoever calls."""

    function: str
    reason: str
    callers: tuple[str, ...] = ()


_RWSEM = "the lock of a VMA was an rwsem (until f35ab95ca0af)"

NAMES = (
    Name("vma_start_read", "down_read_trylock", _RWSEM, until="6.15"),
    Name("vma_start_read_locked", "down_read", _RWSEM, until="6.15"),
    Name("vma_end_read", "up_read", _RWSEM, until="6.15"),
    Name("mfill_atomic_copy", "mcopy_atomic", "renamed by a734991ccaec", until="6.4"),
    Name("userfaultfd_read_iter", "userfaultfd_read", "renamed", until="6.10"),
    Name("folio_add_new_anon_rmap", "page_add_new_anon_rmap", "renamed", until="6.8"),
    Name("shmem_get_folio_gfp", "shmem_getpage_gfp", "renamed", until="6.1"),
    Name("gup_fast_fallback", "internal_get_user_pages_fast", "renamed", until="6.10"),
    Name("kvm_mmu_faultin_pfn", "kvm_faultin_pfn", "renamed", until="6.13"),
    Name("kvm_release_page", "kvm_release_pfn_clean", "renamed", until="6.13"),
    Name("kvm_tdp_mmu_map", "mmu_set_spte", "renamed", until="5.15"),
    Name("userfaultfd_copy", "userfaultfd_ioctl", "inlined"),
    Name("userfaultfd_writeprotect", "userfaultfd_ioctl", "inlined"),
    Name("rt_sigreturn", "restore_sigcontext", "a system call"),
    Name("handle_signal", "x64_setup_rt_frame", "inlined"),
    Name("spin_lock", "_raw_spin_lock", "inline"),
    Name("spin_unlock", "_raw_spin_unlock", "inline"),
)

SAME = {"_raw_spin_lock_irq": "_raw_spin_lock", "_raw_spin_unlock_irq": "_raw_spin_unlock"}

BELOW = (
    Below("try_to_wake_up", "interrupt", ("call_timer_fn", "handle_softirqs", "hrtimer_wakeup", "swake_up_one")),
    Below("schedule", "preempted", ("exit_to_user_mode_prepare", "exit_to_user_mode_loop", "irqentry_exit_to_user_mode")),
    Below("find_vma", "tree", ("find_extend_vma", "gup_vma_lookup", "hva_to_pfn", "mcopy_atomic", "mwriteprotect_range")),
    Below("down_read_killable", "exec_update_lock", ("mm_access",)),
    Below("up_read", "exec_update_lock", ("mm_access",)),
    Below("down_write", "anon_vma lock", ("__anon_vma_prepare",)),
    Below("up_write", "anon_vma lock", ("__anon_vma_prepare",)),
    Below("__wake_up_common", "walk"),
    Below("__gup_longterm_locked", "passes on"),
    Below("pipe_write", "pipe"),
    Below("anon_pipe_write", "pipe"),
    Below("arch_do_signal_or_restart", "loop"),
    Below("do_send_specific", "finds"),
    Below("__send_signal_locked", "part"),
    Below("complete_signal", "part"),
    Below("kvm_vcpu_ioctl", "dispatch"),
    Below("npf_interception", "dispatch"),
    Below("kvm_tdp_page_fault", "dispatch"),
    Below("kvm_mmu_do_page_fault", "dispatch"),
    Below("direct_page_fault", "dispatch"),
    Below("__gfn_to_pfn_memslot", "slot"),
    Below("kvm_follow_pfn", "slot"),
    Below("__kvm_faultin_pfn", "slot"),
    Below("set_spte", "part of mmu_set_spte()"),
)
