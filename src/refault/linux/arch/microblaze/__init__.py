"""``arch/microblaze``."""
