"""``kernel/sched/``."""
