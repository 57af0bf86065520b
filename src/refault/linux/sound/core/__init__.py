"""``sound/core/``."""
