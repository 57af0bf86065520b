"""``arch/parisc/mm``."""
