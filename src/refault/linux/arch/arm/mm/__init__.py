"""``arch/arm/mm``."""
