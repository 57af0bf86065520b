"""``kernel/time/``."""
