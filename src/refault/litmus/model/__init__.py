"""Litmus tests on the model: ``play`` makes a story of one, ``allowed`` finds its outcomes."""

from .allowed import Allowed, allowed
from .play import play

__all__ = ["Allowed", "allowed", "play"]
