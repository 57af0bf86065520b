"""``arch/riscv/mm``."""
