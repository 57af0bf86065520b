"""``include/uapi``: what user programs see."""
