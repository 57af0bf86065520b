"""``drivers/char/``."""
