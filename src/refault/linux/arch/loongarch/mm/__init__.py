"""``arch/loongarch/mm``."""
