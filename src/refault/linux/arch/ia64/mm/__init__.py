"""``arch/ia64/mm``."""
