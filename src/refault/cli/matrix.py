"""``refault matrix``: scenarios against kernel versions."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from refault.report.matrix import abbreviations, heading, legend, line
from refault.scenarios.survey import Cell, Survey, at, columns

from .exits import EXPECTED, INCONCLUSIVE
from .options import changes, json_option, limit_options, limits, patch_options, plain_option
from .progress import Progress
from .select import scenarios


@click.command("matrix")
@click.argument("names", nargs=-1, metavar="[ID | FILE.py[::NAME]]...")
@click.option(
    "--kernels",
    metavar="VERSIONS",
    help="Which columns: '5.10,6.1', '5.4..6.1' or 'all'; else the long-term releases.",
)
@patch_options
@limit_options
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, /, names: tuple[str, ...], **options: Any) -> None:
    """Print the verdict of each scenario in each version of Linux.

    A version is the base with the patches undone that came later, as far as refault knows them.
    With --with and --without a patch is in all of the versions, or in none.
    """
    versions, also = columns(options["kernels"]), changes(options)
    variants = [at(version, also) for version in versions]
    progress = Progress(plain=options["plain"])
    rows: dict[str, list[Cell]] = {}
    for scenario, _ in scenarios(names):
        survey = Survey(scenario, progress=progress.update, **limits(options))
        rows[scenario.id] = []
        for variant in variants:
            progress.begin(f"{scenario.id} {variant}")
            try:
                rows[scenario.id].append(survey.cell(variant))
            finally:
                progress.done()
    click.echo(_json(versions, rows) if options["as_json"] else _text(versions, rows))
    open_ones = any(cell.verdict == "inconclusive" for row in rows.values() for cell in row)
    ctx.exit(INCONCLUSIVE if open_ones else EXPECTED)


def _text(versions: tuple[str, ...], rows: dict[str, list[Cell]]) -> str:
    short = abbreviations({cell.verdict for row in rows.values() for cell in row})
    lines = [heading(versions)]
    lines += [line(versions, [short[c.verdict] for c in row], id) for id, row in rows.items()]
    return "\n".join([*lines, "", legend(short)])


def _json(versions: tuple[str, ...], rows: dict[str, list[Cell]]) -> str:
    found = [
        {"scenario": id, "kernel": version, "verdict": cell.verdict, "reason": cell.reason}
        for id, row in rows.items()
        for version, cell in zip(versions, row, strict=True)
    ]
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
