"""``virt/kvm/``."""
