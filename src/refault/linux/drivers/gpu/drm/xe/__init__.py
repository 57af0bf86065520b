"""``drivers/gpu/drm/xe/``."""
