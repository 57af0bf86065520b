"""``refault replay``: run a kept counterexample through the model again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from refault.explore.errors import ReplayDiverged, UserError
from refault.explore.trace import Trace
from refault.report.counterexample import Counterexample, file_digest, load
from refault.report.lines import name
from refault.report.mail import mail

from .checking import blamed_on_story
from .exits import EXPECTED, UNEXPECTED
from .group import report_error
from .options import json_option, text_options
from .select import Job, check_variant, select_one


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--scenario",
    metavar="ID | FILE.py::NAME",
    help="Use this scenario, where the file names one that is elsewhere by now.",
)
@text_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, file: Path, **options: Any) -> None:
    """Run a kept counterexample through the model again.

    FILE comes from 'refault check', on this machine or another. The exit code is 1 if the model no
    longer does what was recorded.
    """
    example = load(file)
    job = _job(example, file, options["scenario"])
    try:
        with blamed_on_story(job):
            endless = example.trace.cycle >= 0
            again = job.scenario.replay(
                job.variant,
                example.trace.schedule,
                cycle=example.trace.cycle,
                finding=example.finding if endless else None,
            )
            trace = example.explain(again)
    except ReplayDiverged as error:
        report_error(error, str(file))
        ctx.exit(UNEXPECTED)
    same = trace.finding == example.finding
    click.echo(_json(example, trace, same) if options["as_json"] else _text(trace, file, options))
    if not same:
        _complain(example, trace)
    ctx.exit(EXPECTED if same else UNEXPECTED)


def _job(example: Counterexample, file: Path, scenario: str | None) -> Job:
    """Find the scenario that ``example`` belongs to."""
    named = scenario or _recorded(example)
    try:
        check_variant(example.variant)
    except UserError as error:
        raise UserError(f"{file}: its variant: {error.message}", error.remedy) from None
    try:
        job = select_one(named, example.variant)
    except UserError as error:
        raise UserError(
            f"{file}: its scenario is not here: {error.message}",
            error.remedy if scenario else "say where it is: --scenario ID or --scenario FILE::NAME",
        ) from None
    if job.file and example.sha256 and file_digest(job.file) != example.sha256:
        click.echo(f"refault: warning: {job.file} has changed since it was recorded", err=True)
    return job


def _recorded(example: Counterexample) -> str:
    return f"{example.file}::{example.scenario}" if example.file else example.scenario


def _text(trace: Trace, file: Path, options: dict[str, Any]) -> str:
    return mail(trace, replay=str(file), prefix=options["prefix"], width=options["width"])


def _json(example: Counterexample, trace: Trace, same: bool) -> str:
    replayed = {
        "scenario": example.scenario,
        "variant": example.variant,
        "same": same,
        "recorded": example.finding,
        "trace": trace,
    }
    return msgspec.json.format(msgspec.json.encode(replayed), indent=2).decode()


def _complain(example: Counterexample, trace: Trace) -> None:
    then, now = example.finding, trace.finding
    if then.kind == now.kind:
        was, found = f"{then.kind}: {then.message}", f"{now.kind}: {now.message}"
    else:
        was, found = then.kind, now.kind
    what = name(example.scenario, example.variant)
    report_error(
        UserError(
            f"{what}: recorded was {was!r}, the schedule now ends in {found!r}",
            f"the model has changed: 'refault check {example.scenario}' says where it stands",
        )
    )
