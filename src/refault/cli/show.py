"""``refault show``: one scenario in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from refault.report import show

from .checking import Outcome, settle
from .exits import INCONCLUSIVE
from .keep import Keeper
from .options import (
    json_option,
    keep_options,
    limit_options,
    limits,
    plain_option,
    text_options,
    variant,
    variant_options,
)
from .progress import Progress
from .resume import report_resume
from .select import select_one


@click.command("show")
@click.argument("name", metavar="ID | FILE.py::NAME")
@variant_options
@text_options
@limit_options
@keep_options
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Check one scenario and show its story and diagram."""
    job = select_one(name, variant(options))
    progress = Progress(plain=options["plain"])
    progress.begin(name)
    outcome = settle(job, limits(options), progress, options["keep"])
    if outcome.error is not None:
        raise outcome.error
    kept = Keeper(options["keep"]).keep(outcome)
    if options["as_json"]:
        click.echo(_json(outcome, kept))
    else:
        prefix = options["prefix"]
        parts = _parts(outcome, kept, prefix, options["width"])
        click.echo(f"\n{prefix.rstrip()}\n".join(parts))
    report_resume(outcome, options)
    if outcome.interrupted:
        click.echo("refault: interrupted", err=True)
        ctx.exit(INCONCLUSIVE)
    ctx.exit(outcome.exit_code)


def _parts(outcome: Outcome, kept: list[str], prefix: str, width: int) -> Iterator[str]:
    """Yield what is shown, paragraph by paragraph."""
    scenario, verdict = outcome.job.scenario, outcome.verdict
    yield show.heading(scenario.id, outcome.job.variant, prefix=prefix)
    yield show.story(scenario.doc, scenario.source, prefix=prefix, width=width)
    if verdict is None:
        yield f"{prefix}inconclusive: {outcome.remark}"
        return
    row = outcome.row
    yield f"{prefix}{show.verdict_text(verdict, ok=row.ok, expected=row.expected)}"
    yield from show.findings(verdict, kept, prefix=prefix, width=width)
    yield show.evidence_text(verdict.evidence, prefix=prefix, width=width)


def _json(outcome: Outcome, kept: list[str]) -> str:
    """Return the row of ``check`` with story, evidence and traces."""
    scenario, verdict = outcome.job.scenario, outcome.verdict
    found = verdict.findings if verdict else ()
    details = {
        **msgspec.to_builtins(outcome.row),
        "source": scenario.source,
        "claims": scenario.claims,
        "story": scenario.doc,
        "reason": outcome.remark,
        "evidence": verdict.evidence if verdict else None,
        "findings": [{"finding": finding, "trace": trace} for finding, trace in found],
        "files": kept,
    }
    return msgspec.json.format(msgspec.json.encode(details), indent=2).decode()
