"""The other two things that ``refault live`` does: the order of functions, and fuzzing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from refault.explore.errors import UserError
from refault.live.functions.compare import Compared, compare
from refault.live.functions.recording import Recording, from_answers, recorded
from refault.live.functions.stories import SITUATIONS
from refault.live.fuzz import Tally, fuzz
from refault.live.kernels import Place
from refault.report.functions import functions_differences, functions_json, functions_table

from .exits import EXPECTED, INCONCLUSIVE, UNEXPECTED
from .status import Status

RECORD = "refault.live.functions.record"


def functions(
    names: Sequence[str],
    kernel: str | None,
    machines: Sequence[Place],
    *,
    as_json: bool,
    status: Status,
) -> int:
    """Compare recorded orders of functions with the model, and print what differs.

    They are those that come with refault, on one ``kernel`` or all of them, or what is recorded now
    on some ``machines``.
    """
    wrong = [name for name in names if name not in SITUATIONS]
    if wrong:
        raise UserError(
            f"no situation is called {' '.join(wrong)}", f"there are {', '.join(SITUATIONS)}"
        )
    found: list[Compared] = []
    try:
        recordings = [_record(machine, names) for machine in machines] or _recordings(kernel)
        for recording in recordings:
            for name in names or SITUATIONS:
                if name in recording.situations:
                    status.say(f"{recording.version}: {name}")
                    found.append(compare(recording, name))
    finally:
        status.done()
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(functions_json(found)), indent=2).decode()
    else:
        text = "\n\n".join(filter(None, (functions_table(found), functions_differences(found))))
    click.echo(text)
    return EXPECTED if all(one.agrees for one in found) else UNEXPECTED


def _record(machine: Place, names: Sequence[str]) -> Recording:
    """Record situations on a machine now."""
    asked = next(iter(recorded().values())).asked
    wanted = {"situations": [*names]} if names else {}
    with machine:
        answers = list(machine.run(RECORD, {"asked": asked, **wanted}))
    return from_answers(answers, asked, machine.name)


def _recordings(kernel: str | None) -> list[Recording]:
    known = recorded()
    if kernel is None:
        return list(known.values())
    if kernel not in known:
        raise UserError(f"nothing was recorded on {kernel}", f"there are {', '.join(known)}")
    return [known[kernel]]


def fuzzing(operations: int, *, seed: int, folder: Path, status: Status) -> int:
    """Run random programs on the model and on the running kernel; save those that differ."""

    def say(tally: Tally) -> None:
        rate = tally.operations / tally.seconds if tally.seconds else 0
        status.say(f"{tally.operations} of {operations} operations, {rate:.0f}/s")

    tally = fuzz(operations, seed=seed, folder=folder, progress=say)
    status.done()
    discarded = sum(tally.discarded.values())
    click.echo(
        f"{tally.operations} operations in {tally.sequences} programs, seed {seed}: "
        f"{len(tally.differences)} differ, {discarded} discarded"
    )
    for why, times in tally.discarded.most_common():
        click.echo(f"  discarded {times}: {why}")
    for difference in tally.differences:
        click.echo(f"\n{difference}")
    if tally.interrupted:
        click.echo("refault: interrupted; the same seed goes on from here", err=True)
        return INCONCLUSIVE
    return UNEXPECTED if tally.differences else EXPECTED
