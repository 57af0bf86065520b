"""``refault claims``: what was claimed in the threads, and whether it is so."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from refault.report.claims import plain, summary, text
from refault.scenarios import find
from refault.scenarios.claims import Judgement, find_claims, judge
from refault.scenarios.survey import Survey

from .exits import EXPECTED, INCONCLUSIVE
from .options import json_option, limit_options, limits, plain_option
from .progress import Progress


@click.command("claims")
@click.argument("names", nargs=-1, metavar="[NUMBER | FIRST-LAST | WORD]...")
@limit_options
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, /, names: tuple[str, ...], **options: Any) -> None:
    """Judge what was claimed in the mail threads, by the scenarios that settle it.

    A claim is confirmed if every case of it supports it, refuted if none does, and else depends on
    what the cases differ in. A NUMBER is that of a claim (50) or question (Q12); a WORD is looked
    for in texts and sources.
    """
    bench = Bench(limits(options), Progress(plain=options["plain"]))
    judged: list[Judgement] = []
    for claim in find_claims(names):
        judged.append(judge(claim, bench.verdict))
        if not options["as_json"]:
            click.echo(text(judged[-1]) + "\n")
    if options["as_json"]:
        encoded = msgspec.json.encode([plain(j) for j in judged])
        click.echo(msgspec.json.format(encoded, indent=2).decode())
    else:
        click.echo(summary(judged))
    ctx.exit(INCONCLUSIVE if any(j.verdict == "open" for j in judged) else EXPECTED)


class Bench:
    """Finds the verdicts that claims ask for, none of them twice."""

    def __init__(self, limits: dict[str, Any], progress: Progress) -> None:
        self._limits = limits
        self._progress = progress
        self._surveys: dict[str, Survey] = {}

    def verdict(self, scenario: str, variant: str) -> tuple[str, str]:
        """Return verdict and reason of a scenario in a variant."""
        if scenario not in self._surveys:
            self._surveys[scenario] = Survey(
                find(scenario), progress=self._progress.update, **self._limits
            )
        self._progress.begin(f"{scenario} {variant}")
        try:
            return self._surveys[scenario].cell(variant)
        finally:
            self._progress.done()
