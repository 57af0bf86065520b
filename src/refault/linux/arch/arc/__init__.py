"""``arch/arc``."""
