"""``arch/alpha/mm``."""
