"""``arch/m68k/mm``."""
