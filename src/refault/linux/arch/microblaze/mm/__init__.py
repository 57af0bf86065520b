"""``arch/microblaze/mm``."""
