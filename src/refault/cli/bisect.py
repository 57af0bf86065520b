"""``refault bisect``: which patch changes the verdict of a scenario."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from refault.patches import Patch
from refault.report.text import wrap
from refault.scenarios.survey import Change, Survey, at, columns

from .exits import EXPECTED
from .options import changes, json_option, limit_options, limits, patch_options, plain_option
from .progress import Progress
from .select import select_one

WIDTH = 80


@click.command("bisect")
@click.argument("name", metavar="ID | FILE.py::NAME")
@click.option(
    "--kernels",
    default="all",
    metavar="VERSIONS",
    help="Where to look: '5.4..6.1', or some; else in all versions.",
)
@patch_options
@limit_options
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Name the patch at which a verdict changes from one version to the next.

    With --with and --without a patch is in all of the versions, or in none.
    """
    versions, also = columns(options["kernels"]), changes(options)
    progress = Progress(plain=options["plain"])
    progress.begin(name)
    scenario = select_one(name, None).scenario
    survey = Survey(scenario, progress=progress.update, **limits(options))
    try:
        first = survey.cell(at(versions[0], also))
        found = list(survey.changes(versions, also))
    finally:
        progress.done()
    if options["as_json"]:
        click.echo(_json(scenario.id, found))
    else:
        click.echo("\n".join(_text(versions[0], first.verdict, found)))
    ctx.exit(EXPECTED)


def _text(oldest: str, verdict: str, found: list[Change]) -> list[str]:
    lines = [f"{oldest:<6} {verdict}"]
    for change in found:
        lines.append(f"{change.newer:<6} {change.after.verdict}")
        for patch in change.patches:
            lines += wrap(_title(patch), WIDTH, indent=9, hang=11)
        if not change.patches:
            lines.append(f"{'':9}(no patch alone: several that came together)")
    return lines if found else [*lines, "No version changes that."]


def _title(patch: Patch) -> str:
    return f"{patch.name}: {patch.title} ({patch.commit}, {patch.since})"


def _json(scenario: str, found: list[Change]) -> str:
    rows = [
        {
            "scenario": scenario,
            "older": change.older,
            "newer": change.newer,
            "before": change.before.verdict,
            "after": change.after.verdict,
            "patches": [patch.name for patch in change.patches],
            "commits": [patch.commit for patch in change.patches],
        }
        for change in found
    ]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()
