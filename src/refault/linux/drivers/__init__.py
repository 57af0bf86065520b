"""``drivers/``."""
