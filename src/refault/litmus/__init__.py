"""Litmus tests: programs as data, which the model and a real kernel both run.

``Litmus`` writes one down as a story is told; ``Program`` is what comes of it. The modules here
need the standard library only, for they also run in machines that have no more; ``litmus.model``
runs a program on the model.
"""

from .program import Memory, Outcome, Place, Program, Step, Thread
from .story import Actor, Litmus

__all__ = ["Actor", "Litmus", "Memory", "Outcome", "Place", "Program", "Step", "Thread"]
