"""``refault show``: one scenario in full."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from refault.report import show
from refault.report.lines import name

from .checking import Outcome, expected_of, settle
from .exits import INCONCLUSIVE
from .keep import Keeper, counterexample
from .options import (
    json_option,
    keep_options,
    limit_options,
    limits,
    plain_option,
    text_options,
    variant_option,
)
from .progress import Progress
from .select import select_one


@click.command("show")
@click.argument("name", metavar="ID | FILE.py::NAME")
@variant_option
@text_options
@limit_options
@keep_options
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, name: str, **options: Any) -> None:
    """Check one scenario and show its story and diagram."""
    job = select_one(name, options["variant"])
    progress = Progress(plain=options["plain"])
    progress.begin(name)
    outcome = settle(job, limits(options), progress)
    if outcome.error is not None:
        raise outcome.error
    kept = Keeper(options["keep"]).keep(outcome)
    if options["as_json"]:
        click.echo(_json(outcome, kept))
    else:
        for part in _parts(outcome, kept, options["prefix"], options["width"]):
            click.echo(part)
    if outcome.interrupted:
        click.echo("refault: interrupted", err=True)
        ctx.exit(INCONCLUSIVE)
    ctx.exit(outcome.exit_code)
