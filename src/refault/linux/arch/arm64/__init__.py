"""``arch/arm64``."""
