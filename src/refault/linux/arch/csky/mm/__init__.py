"""``arch/csky/mm``."""
