"""``arch/powerpc``."""
