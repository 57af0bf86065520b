"""``fs/iomap/``."""
