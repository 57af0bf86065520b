"""``arch/um/kernel``."""
