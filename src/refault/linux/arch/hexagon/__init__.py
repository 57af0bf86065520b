"""``arch/hexagon``."""
