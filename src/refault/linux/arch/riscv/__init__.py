"""``arch/riscv``."""
