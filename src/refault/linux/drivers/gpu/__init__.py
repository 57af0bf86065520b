"""``drivers/gpu/``."""
