"""Exit codes, the same for every command."""

EXPECTED = 0
UNEXPECTED = 1
BAD_INPUT = 2
INCONCLUSIVE = 3
