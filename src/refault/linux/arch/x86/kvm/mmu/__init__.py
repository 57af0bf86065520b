"""``arch/x86/kvm/mmu/``."""
