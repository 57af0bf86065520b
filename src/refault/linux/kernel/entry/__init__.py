"""``kernel/entry/``."""
