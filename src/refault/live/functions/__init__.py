"""Which functions a kernel calls in a situation, in what order; and the model in the same one.

* ``recording``: what a tracer has written down, as data files
* ``record``: writing such a file on a kernel whose function tracer (``tracer``) can be used; who
  performs, and where, is a ``scene``
* ``stories``: the situations as stories for the model
* ``execution``: one run of the model, and the functions that each of its tasks enters
* ``grain``: what is finer or coarser in a kernel than in the model, with a reason each
* ``compare``: the two sequences of a thread, side by side
"""
