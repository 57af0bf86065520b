"""``arch/sparc/mm``."""
