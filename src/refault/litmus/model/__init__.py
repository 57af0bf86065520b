"""Litmus tests on the model: ``play`` makes a story of one, ``allowed`` finds its outcomes."""

from .allowed import CPUS, Allowed, allowed
from .play import play
from .world import Refused

__all__ = ["CPUS", "Allowed", "Refused", "allowed", "play"]
