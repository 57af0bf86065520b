"""``drivers/gpu/drm/``."""
