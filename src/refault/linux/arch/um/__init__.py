"""``arch/um``."""
