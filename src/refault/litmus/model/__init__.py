"""Litmus tests on the model: ``play`` makes a story of one, ``allowed`` finds its outcomes."""

from .allowed import Allowed, allowed
from .play import play
from .world import Refused

__all__ = ["Allowed", "Refused", "allowed", "play"]
