"""``refault check``: a line per scenario and variant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
import msgspec

from refault.report.lines import HEADING, line, name

from .checking import Outcome, settle
from .exits import BAD_INPUT, EXPECTED, INCONCLUSIVE, UNEXPECTED
from .group import report_error
from .keep import Keeper
from .options import (
    json_option,
    keep_options,
    limit_options,
    limits,
    plain_option,
    variant,
    variant_options,
)
from .progress import Progress
from .resume import report_resume
from .select import Job, select


@click.command("check")
@click.argument("names", nargs=-1, metavar="[ID | FILE.py[::NAME]]...")
@variant_options
@limit_options
@keep_options
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, /, names: tuple[str, ...], **options: Any) -> None:
    """Explore every interleaving of scenarios.

    Without arguments the whole catalogue is checked, each scenario in all variants that it states
    expectations for. An ID may be a pattern. FILE.py is a file of your own, NAME a scenario in it.
    """
    jobs = select(names, variant(options))
    session = Session(options)
    ctx.exit(session.run(jobs, limits(options)))


class Session:
    """One run of ``refault check``: prints lines as they come, or all as JSON at the end."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.as_json = options["as_json"]
        self.progress = Progress(plain=options["plain"])
        self.keeper = Keeper(options["keep"])
        self.outcomes: list[Outcome] = []

    def run(self, jobs: list[Job], limits: dict[str, Any]) -> int:
        """Do all jobs, or those that Ctrl-C allows; return the exit code."""
        interrupted = False
        try:
            self._begin()
            interrupted = not all(self._settle(job, limits) for job in jobs)
        except KeyboardInterrupt:
            interrupted = True
        if self.as_json:
            click.echo(_json(self.outcomes))
        if interrupted:
            done = sum(not outcome.interrupted for outcome in self.outcomes)
            click.echo(f"refault: interrupted, {done} of {len(jobs)} checks done", err=True)
        for outcome in self.outcomes:
            report_resume(outcome, self.options)
        if interrupted:
            return INCONCLUSIVE
        return worst(outcome.exit_code for outcome in self.outcomes)

    def _begin(self) -> None:
        if not self.as_json:
            click.echo(HEADING)

    def _settle(self, job: Job, limits: dict[str, Any]) -> bool:
        """Do one job; return whether to go on."""
        self.progress.begin(name(job.scenario.id, job.variant))
        outcome = settle(job, limits, self.progress, self.keeper.folder)
        self.outcomes.append(outcome)
        if not self.as_json:
            click.echo(line(outcome.row, outcome.remark))
        if outcome.error is not None:
            report_error(outcome.error, name(job.scenario.id, job.variant))
        self.keeper.keep(outcome)
        return not outcome.interrupted


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of a run: bad input before unexpected before inconclusive."""
    order = (BAD_INPUT, UNEXPECTED, INCONCLUSIVE, EXPECTED)
    return min(codes, key=order.index, default=EXPECTED)


def _json(outcomes: list[Outcome]) -> str:
    encoded = msgspec.json.encode([outcome.row for outcome in outcomes])
    return msgspec.json.format(encoded, indent=2).decode()
