"""``arch/mips``."""
