"""``kernel/locking/``."""
