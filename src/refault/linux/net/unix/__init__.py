"""``net/unix/``."""
