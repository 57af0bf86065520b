"""``drivers/char/hw_random/``."""
