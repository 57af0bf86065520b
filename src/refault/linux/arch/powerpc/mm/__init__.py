"""``arch/powerpc/mm``."""
