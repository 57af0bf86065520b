"""``arch/x86/include/asm``."""
