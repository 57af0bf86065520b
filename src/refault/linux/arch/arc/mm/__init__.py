"""``arch/arc/mm``."""
