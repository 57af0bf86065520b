"""``arch/nios2``."""
