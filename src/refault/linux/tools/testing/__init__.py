"""``tools/testing``."""
