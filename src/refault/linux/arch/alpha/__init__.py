"""``arch/alpha``."""
