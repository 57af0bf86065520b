"""``kernel/futex/``."""
