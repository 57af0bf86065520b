"""``include/linux``."""
