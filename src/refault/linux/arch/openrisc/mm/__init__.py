"""``arch/openrisc/mm``."""
