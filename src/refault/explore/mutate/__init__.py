"""What a check does not test: drop one synchronisation at a time and check again.

A check that would pass without the synchronisation that it is about is worthless. A mutant whose
verdict is another one is *killed*: the check depends on what was dropped. One that *survives*
shows what the check does not test, be it that the scenario never gets there, or that nothing
there can go wrong, or that the model is more careful than it need be. An *invalid* one is no
model any more; one that is *undecided* met a bound.

* ``sites``: what the tasks execute, and from where
* ``executed``: what is known of these operations
* ``mutants``: the mutations that they offer
* ``mutation``, ``omissions``, ``delays``: how each is done
* ``judge``: the verdicts on them
* ``forked``: a process for each
"""

from .judge import Judged, Mutants, Status, verdict_text
from .mutation import Mutation

__all__ = ["Judged", "Mutants", "Mutation", "Status", "verdict_text"]
