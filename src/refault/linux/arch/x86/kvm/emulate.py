"""A guest whose instructions KVM emulates (``arch/x86/kvm/emulate.c``, ``arch/x86/kvm/x86.c``).

A host that cannot run a mode of the CPU runs it by hand. What the guest loads and stores is copied
then, to or from the memory of the process, like a buffer of any system call: nobody asks GUP, so
nobody can say that a signal may end it.
"""

from __future__ import annotations

from refault.explore import restart
from refault.linux.arch.mmu import copy_from_user as load_word
from refault.linux.arch.mmu import copy_to_user as store_word
from refault.linux.arch.x86.kvm.x86 import xfer_to_guest_mode_handle_work
from refault.linux.include.uapi.errno import EINTR
from refault.linux.modelled import kernel_function
from refault.linux.virt.kvm.kvm_host import Exit, Kvm


@kernel_function("arch/x86/kvm/x86.c", label="KVM_RUN, emulating")
def vcpu_run_emulated(kvm: Kvm, address: int, value: int | None) -> Exit:
    """Run a guest that loads from, or stores a ``value`` to, one address, and then exits.

    It is two instructions: the second begins where the first has left ``kvm.register``, and a
    signal that is looked for in between ends ``KVM_RUN`` with the first one done.
    """
    while True:
        restart()
        if xfer_to_guest_mode_handle_work():
            return Exit(-EINTR, "KVM_EXIT_INTR")
        seen = kvm.register.read()
        if seen is not None:
            kvm.register.write(None)
            return Exit(0, "KVM_EXIT_MMIO", seen)
        loaded = x86_emulate_instruction(kvm, address, value)
        if loaded is None:
            return Exit(0, "KVM_EXIT_MMIO")
        kvm.register.write(loaded)


@kernel_function("arch/x86/kvm/x86.c", label="x86_emulate_instruction")
def x86_emulate_instruction(kvm: Kvm, address: int, value: int | None) -> int | None:
    """Load or store for the guest; what it has in its register then.

    None where memory cannot be reached: it is taken for a device's, and the monitor is asked.
    """
    if value is None:
        return load_word(kvm.mm, address)
    return None if store_word(kvm.mm, address, value) else value
