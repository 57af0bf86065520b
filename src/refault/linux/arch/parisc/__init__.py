"""``arch/parisc``."""
