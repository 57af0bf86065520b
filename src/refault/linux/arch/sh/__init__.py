"""``arch/sh``."""
