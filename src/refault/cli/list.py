"""``refault list``: what is in the catalogue, and what it expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from refault.report.text import prose, wrap
from refault.scenarios import Scenario

from .options import json_option
from .select import scenarios, variants

WIDTH = 80


@click.command("list")
@click.argument("names", nargs=-1, metavar="[ID | FILE.py]...")
@json_option
def command(names: tuple[str, ...], as_json: bool) -> None:
    """List the catalogue with its expected verdicts.

    An ID may be a pattern. FILE.py is a file of your own.
    """
    found = [scenario for scenario, _ in scenarios(names)]
    if as_json:
        encoded = msgspec.json.encode([_plain(scenario) for scenario in found])
        click.echo(msgspec.json.format(encoded, indent=2))
    else:
        click.echo("\n\n".join("\n".join(_text(scenario)) for scenario in found))


def _plain(scenario: Scenario) -> dict[str, Any]:
    return {
        "scenario": scenario.id,
        "story": scenario.doc,
        "source": scenario.source,
        "claims": scenario.claims,
        "expected": {variant: scenario.expected(variant) for variant in variants(scenario)},
    }


def _text(scenario: Scenario) -> Iterator[str]:
    expected = {variant: scenario.expected(variant) for variant in variants(scenario)}
    column = max(map(len, expected.values()), default=0)
    yield scenario.id
    first = scenario.doc.partition("\n\n")[0]
    yield from wrap(prose(first), WIDTH, indent=4, hang=4) if first else ()
    for variant, verdict in expected.items():
        yield f"    {verdict:<{column}}  {variant or 'as in 6.18'}"
