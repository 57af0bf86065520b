"""A page that comes while the program reaches for it."""

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus


@litmus(source="a question that comes up whenever somebody writes a prefetcher")
def prefetched(t: Litmus) -> None:
    """Whoever is first, the program finds the page, and no message is left to read."""
    p, program = t.memory(), t.thread("program")
    with t.together():
        program.load(p)
        t.monitor.copy(p)
    t.monitor.status(program)
    t.monitor.read()
