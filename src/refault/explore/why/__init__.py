"""Why a counterexample goes wrong; ``explain`` begins with what is worked out."""
