"""``arch/sh/mm``."""
