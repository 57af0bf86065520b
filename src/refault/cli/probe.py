"""``refault probe``: a page about a kernel."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from refault.live.kernels import places
from refault.report.probe import Row, page, programs, rows
from refault.scenarios import find

from .options import json_option, plain_option
from .status import Status

WORK = "refault.live.probe"
SECONDS = 0.7


@click.command("probe")
@click.option(
    "--vm",
    default="running",
    metavar="KERNEL",
    help="Boot this kernel in QEMU: a path, or debian:6.1; else the one that runs here.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, max=600),
    default=SECONDS,
    show_default=True,
    metavar="S",
    help="Repeat each race for so long.",
)
@click.option("--seed", type=int, default=1, metavar="N", help="Of the delays of racing threads.")
@json_option
@plain_option
def command(vm: str, seconds: float, seed: int, **options: Any) -> None:
    """Tell what a kernel has for userfaultfd, and how it behaves.

    Which fixes it has, and which bugs, is found out by trying and not read from its version.
    """
    status = Status(plain=options["plain"])
    chosen = [find(id) for id in programs()]
    (kernel,) = places((vm,), status.say)
    given = {
        "programs": [[s.id, s.live.to_json()] for s in chosen if s.live is not None],
        "seconds": seconds,
        "seed": seed,
        "spin": kernel.spin,
    }
    answers = []
    try:
        with kernel:
            for answer in kernel.run(WORK, given):
                answers.append(answer)
                status.say(f"{vm}: {answer.get('name', answer.get('release', ''))}")
    finally:
        status.done()
    facts, found = answers[0], rows(answers[1:])
    click.echo(_json(facts, found) if options["as_json"] else page(facts, found))


def _json(facts: dict[str, Any], found: list[Row]) -> str:
    data = {"kernel": facts, "rows": [row._asdict() for row in found]}
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
