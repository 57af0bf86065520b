"""``arch/x86/lib/``."""
