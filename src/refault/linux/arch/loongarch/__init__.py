"""``arch/loongarch``."""
