"""``arch/mips/mm``."""
