"""One trace, many views: mail text, the line per check, JSON files."""

from .counterexample import Counterexample, load
from .diagram import diagram
from .mail import diagnosis, mail

__all__ = ["Counterexample", "diagnosis", "diagram", "load", "mail"]
