"""``arch/x86/entry/vsyscall``."""
