"""``arch/openrisc``."""
