"""``arch/arm64/kvm/``."""
