"""What is finer or coarser in a kernel than in the model, each with the reason.

Three things, and no others, make a recording and a run of the model comparable:

* what the recording says of itself: which functions were asked for, and which of them this build
  has no place for. Of the model's functions only those count that would have been written down;
* ``NAMES``: a function of the model that the recorded kernel has under another name;
* ``BELOW``: functions of the kernel that the model has none for. Those without ``callers`` are not
  modelled at all, and a test holds them to that; of a function that is modelled, only the calls by
  listed callers are passed over, and these are not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from refault.live.functions.recording import Call
from refault.patches.version import Version, parse


class Name(NamedTuple):
    """A modelled function, and the name of the recorded one ``since`` a version, ``until`` another.

    Empty: from the beginning, and for good.
    """

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
    """A recorded function that the model has none for; only by ``callers``, if there are any."""

    function: str
    reason: str
    callers: tuple[str, ...] = ()

    def covers(self, call: Call) -> bool:
        """Tell whether it is about a call."""
        return call.function == self.function and (
            not self.callers or plain(call.caller) in self.callers
        )


def plain(function: str) -> str:
    """A function's name without what the compiler adds to a copy of it."""
    return function.partition(".")[0]


_RWSEM = "the lock of a VMA was an rwsem, before it became a count"
_CASE = "a case of the ioctl, inlined into it"
_MACRO = "an inline function around this one"
_RENAMED = "renamed"

NAMES = (
    Name("vma_start_read", "down_read_trylock", _RWSEM, until="6.15"),
    Name("vma_start_read_locked", "down_read", _RWSEM, until="6.15"),
    Name("vma_end_read", "up_read", _RWSEM, until="6.15"),
    Name("mfill_atomic_copy", "mcopy_atomic", _RENAMED, until="6.4"),
    Name("userfaultfd_read_iter", "userfaultfd_read", _RENAMED, until="6.10"),
    Name("folio_add_new_anon_rmap", "page_add_new_anon_rmap", _RENAMED, until="6.8"),
    Name("shmem_get_folio_gfp", "shmem_getpage_gfp", _RENAMED, until="6.1"),
    Name("gup_fast_fallback", "internal_get_user_pages_fast", _RENAMED, until="6.10"),
    Name("pipe_write", "anon_pipe_write", "split off, for pipes without a name", since="6.15"),
    Name("kvm_mmu_faultin_pfn", "kvm_faultin_pfn", _RENAMED, until="6.13"),
    Name("kvm_release_page", "kvm_release_pfn_clean", _RENAMED, until="6.13"),
    Name("kvm_tdp_mmu_map", "mmu_set_spte", "the TDP MMU was not the default", until="5.15"),
    Name("userfaultfd_copy", "userfaultfd_ioctl", _CASE),
    Name("userfaultfd_writeprotect", "userfaultfd_ioctl", _CASE),
    Name("rt_sigreturn", "restore_sigcontext", "a system call, which has no name to trace"),
    Name("handle_signal", "x64_setup_rt_frame", "inlined, but for making the frame"),
    Name("spin_lock", "_raw_spin_lock", _MACRO),
    Name("spin_unlock", "_raw_spin_unlock", _MACRO),
)

SAME = {
    "_raw_spin_lock_irq": "_raw_spin_lock",
    "_raw_spin_unlock_irq": "_raw_spin_unlock",
}
"""Recorded functions that are one in the model: it has no interrupts to turn off."""

_DISPATCH = "hands the exit of the guest to kvm_mmu_page_fault() or on from it"
_SLOT = "finds the memory slot: the model's guests have the addresses of their host"
_TREE = "one look at the tree of VMAs, which has no function there"

BELOW = (
    Below(
        "try_to_wake_up",
        "an interrupt came in between",
        ("call_timer_fn", "handle_softirqs", "hrtimer_wakeup", "swake_up_one"),
    ),
    Below(
        "schedule",
        "the thread was preempted on its way to user mode",
        ("exit_to_user_mode_loop", "exit_to_user_mode_prepare", "syscall_exit_to_user_mode"),
    ),
    Below("schedule", "preempted on its way into the guest", ("xfer_to_guest_mode_handle_work",)),
    Below("find_vma", _TREE, ("find_extend_vma", "gup_vma_lookup")),
    Below("find_vma", _TREE, ("hva_to_pfn", "mcopy_atomic", "mwriteprotect_range")),
    Below("down_read_killable", "exec_update_lock is not modelled", ("mm_access",)),
    Below("up_read", "exec_update_lock is not modelled", ("mm_access",)),
    Below("down_write", "the lock of an anon_vma is not modelled", ("__anon_vma_prepare",)),
    Below("up_write", "the lock of an anon_vma is not modelled", ("__anon_vma_prepare",)),
    Below("__gup_longterm_locked", "passes on what is not for long"),
    Below("arch_do_signal_or_restart", "the loop around get_signal() has another shape"),
    Below("do_send_specific", "finds the thread by its number"),
    Below("__send_signal_locked", "one step with send_signal_locked()"),
    Below("complete_signal", "one step with send_signal_locked()"),
    Below("kvm_vcpu_ioctl", _DISPATCH),
    Below("npf_interception", _DISPATCH),
    Below("kvm_mmu_do_page_fault", _DISPATCH),
    Below("kvm_tdp_page_fault", _DISPATCH),
    Below("direct_page_fault", _DISPATCH),
    Below("__gfn_to_pfn_memslot", _SLOT),
    Below("__kvm_faultin_pfn", _SLOT),
    Below("kvm_follow_pfn", _SLOT),
    Below("set_spte", "one step with mmu_set_spte()"),
)


def names_in(version: str) -> Mapping[str, str]:
    """What modelled functions are called in a version, those that are called otherwise."""
    parsed = parse(version)
    return {name.modelled: name.recorded for name in NAMES if name.holds(parsed)}
