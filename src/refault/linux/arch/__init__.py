"""``arch/``."""

ARCHITECTURES = ("x86",)
"""The architectures whose fault entry is modelled."""
