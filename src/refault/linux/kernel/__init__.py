"""``kernel/``."""
