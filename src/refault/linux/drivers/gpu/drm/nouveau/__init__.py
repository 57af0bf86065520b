"""``drivers/gpu/drm/nouveau/``."""
