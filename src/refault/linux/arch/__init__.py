"""``arch/``: the page-fault entry of each architecture.

* ``ptrace``: what the hardware tells of a fault
* ``entry``: the parameters of an entry, and the skeleton that reads them
* ``masks``, ``stack``, ``refusal``, ``effects``: what the parameters can be
* ``table``: all of them
* one folder an architecture, with its values and what no parameter says
"""

ARCHITECTURES = (
    "x86",
    "arm",
    "arm64",
    "riscv",
    "powerpc",
    "s390",
    "loongarch",
    "csky",
    "arc",
    "alpha",
    "hexagon",
    "m68k",
    "microblaze",
    "mips",
    "nios2",
    "openrisc",
    "parisc",
    "sh",
    "sparc32",
    "sparc64",
    "xtensa",
    "um",
    "ia64",
)
"""The architectures whose fault entry is modelled, those that try the lock of a VMA first."""
