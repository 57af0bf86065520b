"""``arch/x86/include``."""
