"""``tools/testing/selftests``."""
