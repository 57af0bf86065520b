"""``tools/testing/selftests/mm``."""
