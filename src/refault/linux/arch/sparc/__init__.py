"""``arch/sparc``."""
