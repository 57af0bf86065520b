"""Page faults on 64-bit SPARC (``arch/sparc/mm/fault_64.c``).

It keeps a trylock and the search of the exception table of its own; a retry waits for the lock.
Non-faulting loads, which do not grow a stack, are not modelled. A comment calls the mask one that
lets write-only memory be read, which it does not. SIGBUS is sent in kernel mode, too.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import AnyOf
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import Vm

do_sparc64_fault = register(
    PageFault(
        arch="sparc64",
        file="arch/sparc/mm/fault_64.c",
        function="do_sparc64_fault",
        find=Find.DANCE,
        mask=AnyOf(Vm.READ | Vm.EXEC, Vm.WRITE, Vm.EXEC),
        disabled_signal=True,
        kernel_sigbus=True,
        storage="thread_info.fault_code, fault_address",
    ),
    pieces=("killed",),
)
