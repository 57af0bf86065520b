"""``kernel/rcu/``."""
