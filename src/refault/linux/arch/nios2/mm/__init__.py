"""``arch/nios2/mm``."""
