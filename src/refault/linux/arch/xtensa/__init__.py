"""``arch/xtensa``."""
