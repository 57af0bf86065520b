"""``arch/x86/kvm/``."""
