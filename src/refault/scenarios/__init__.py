"""The catalogue: one story a file, each with its source and its expected verdicts.

``scenario`` makes a scenario of a function that takes a ``Kernel``; ``all_scenarios`` and ``find``
look in the catalogue; ``load_file`` takes a scenario from a file anywhere.
"""

from .api import Scenario, scenario
from .files import load_file
from .registry import all_scenarios, find

__all__ = ["Scenario", "all_scenarios", "find", "load_file", "scenario"]
