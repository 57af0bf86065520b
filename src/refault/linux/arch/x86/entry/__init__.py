"""``arch/x86/entry``."""
