"""``arch/xtensa/mm``."""
