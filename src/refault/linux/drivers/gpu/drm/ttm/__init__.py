"""``drivers/gpu/drm/ttm/``."""
