"""``refault mutate``: what a scenario does not test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from refault.explore.mutate import Judged, Mutants, verdict_text
from refault.report.mutants import HEADING, line, row, summary

from .checking import blamed_on_story
from .exits import EXPECTED, INCONCLUSIVE, UNEXPECTED
from .options import json_option, plain_option, variant, variant_options
from .progress import Progress
from .select import select_one


@click.command("mutate")
@click.argument("name", metavar="ID | FILE.py::NAME")
@variant_options
@click.option(
    "--time",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop after this time, all mutants together (300); one gets a fiftieth, or more.",
)
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Drop one synchronisation at a time, and list what makes no difference.

    A check that would pass without the synchronisation that it is about is worthless. So a lock, a
    write or wake-up, a wait, a second look, an order or an atomic block is taken out of the
    functions that the scenario executes, wherever it would take a person one change, and the
    mutant is checked. It is killed if its verdict is another one. If not, it has survived: the
    scenario does not test this.

    Where a scenario is expected to go wrong, so must its mutants, and in the same way: one that is
    killed took away the bug or added another, one that survives shows what the bug does not depend
    on.

    The exit code is 0 if all were killed, 1 if some survived, 2 for bad input, 3 if none survived
    but some met a bound, or after Ctrl-C.
    """
    job = select_one(name, variant(options))
    progress = Progress(plain=options["plain"])
    progress.begin(name)
    try:
        with blamed_on_story(job):
            mutants = job.scenario.mutants(
                job.variant, time=options["time"], progress=progress.update
            )
    finally:
        progress.done()
    if not mutants.explored:
        reason = mutants.verdict.reason
        click.echo(f"refault: {name} itself could not be explored: {reason}", err=True)
        ctx.exit(INCONCLUSIVE)
    session = Session(mutants, as_json=options["as_json"], plain=options["plain"])
    ctx.exit(session.run())


class Session:
    """One run of ``refault mutate``: prints what is killed as it comes, and then what is not."""

    def __init__(self, mutants: Mutants, *, as_json: bool, plain: bool) -> None:
        self.mutants = mutants
        self.as_json = as_json
        self.counts = not plain and sys.stderr.isatty()
        self.judged: list[Judged] = []

    def run(self) -> int:
        """Check the mutants, or those that Ctrl-C allows; return the exit code."""
        interrupted = False
        self._say(HEADING)
        try:
            for one in self._each():
                self.judged.append(one)
                if one.status != "survived":
                    self._say(line(one))
        except KeyboardInterrupt:
            interrupted = True
        self._conclude()
        if not interrupted:
            return self._exit_code()
        total = len(self.mutants.mutations)
        click.echo(f"refault: interrupted, {len(self.judged)} of {total} mutants done", err=True)
        return INCONCLUSIVE

    def _each(self) -> Iterator[Judged]:
        """Yield the mutants and show on a terminal how far it is."""
        total = len(self.mutants.mutations)
        try:
            for number, one in enumerate(self.mutants.judged(), 1):
                self._count("")
                yield one
                self._count(f"{number} of {total} mutants")
        finally:
            self._count("")

    def _count(self, text: str) -> None:
        if self.counts:
            click.echo(f"\r\033[K{text}", nl=False, err=True)

    def _say(self, text: str) -> None:
        if not self.as_json:
            click.echo(text)

    def _conclude(self) -> None:
        if self.as_json:
            encoded = msgspec.json.encode([row(one) for one in self.judged])
            click.echo(msgspec.json.format(encoded, indent=2).decode())
        for one in self.judged:
            if one.status == "survived":
                self._say(line(one))
        self._say(summary(self.judged, verdict_text(self.mutants.verdict)))

    def _exit_code(self) -> int:
        found = {one.status for one in self.judged}
        if "survived" in found:
            return UNEXPECTED
        return INCONCLUSIVE if "undecided" in found else EXPECTED
