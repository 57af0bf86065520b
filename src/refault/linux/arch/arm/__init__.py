"""``arch/arm``."""
