"""``arch/x86/include/asm/`` and what implements it, as far as it is common to all."""
