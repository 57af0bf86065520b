"""``arch/hexagon/mm``."""
