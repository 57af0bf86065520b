"""What an x86 processor can do (``arch/x86/include/asm/cpufeatures.h``), as far as it matters."""

from __future__ import annotations

from enum import IntFlag


class X86Feature(IntFlag):
    """Features that choose how user memory is copied.

    ``ERMS``: long ``rep movsb`` is as fast as anything else; ``FSRM``: so are short ones.
    """

    NONE = 0
    ERMS = 0x1
    FSRM = 0x2
