"""``arch/csky``."""
