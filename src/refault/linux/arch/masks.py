"""Which VMAs allow an access, architecture by architecture.

Most ask for one of several flags, by kind of access; what can execute or read without saying so is
part of the ABI. ``AnyOf`` is that rule; those that it cannot say are functions of their own, beside
their architecture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from refault.linux.arch.ptrace import Access, Kind
from refault.linux.include.linux.mm_types import Vm

Mask: TypeAlias = "Callable[[Vm, Access], bool]"

ACCESS = Vm.READ | Vm.WRITE | Vm.EXEC


@dataclass(frozen=True, repr=False)
class AnyOf:
    """An access needs one of the flags of its kind."""

    read: Vm
    write: Vm
    exec: Vm

    def __call__(self, flags: Vm, access: Access) -> bool:
        """Tell whether a VMA with ``flags`` allows the access."""
        wanted = {Kind.READ: self.read, Kind.WRITE: self.write, Kind.EXEC: self.exec}
        return bool(flags & wanted[access.kind])

    def __repr__(self) -> str:
        return " ".join(map(short, (self.read, self.write, self.exec)))


def short(flags: Vm) -> str:
    """Write flags as ``r|w|x``."""
    names = ((Vm.READ, "r"), (Vm.WRITE, "w"), (Vm.EXEC, "x"))
    return "|".join(letter for bit, letter in names if flags & bit) or "-"


accessible = AnyOf(ACCESS, Vm.WRITE, ACCESS)
"""Anything that is not PROT_NONE can be read; so say ``vma_is_accessible()`` and its users."""

write_implies_read = AnyOf(Vm.READ | Vm.WRITE, Vm.WRITE, Vm.EXEC)
exec_implies_read = AnyOf(Vm.READ | Vm.EXEC, Vm.WRITE, Vm.READ | Vm.EXEC)
