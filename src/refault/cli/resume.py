"""The command that goes on with a search that was stopped."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click

from refault.explore.memory import bound, text
from refault.explore.verdict import MAX_STATES

from .checking import Outcome
from .options import KEEP


def report_resume(outcome: Outcome, options: Mapping[str, Any]) -> None:
    """Say on stderr how to go on with a search that left a checkpoint."""
    command = resume_command(outcome, options)
    if command:
        click.echo(f"refault: go on with: {command}", err=True)


def resume_command(outcome: Outcome, options: Mapping[str, Any]) -> str:
    """The command line that goes on from the checkpoint of ``outcome``; ``""`` if it has none.

    ``options`` are those that the search was made with; the bound that it met is raised.
    """
    if "--resume" not in outcome.remark:
        return ""
    met = re.search(r"--max-(states|memory)", outcome.remark)
    given = dict(options)
    if met and met[1] == "states":
        given["max_states"] = 2 * (options["max_states"] or MAX_STATES)
    elif met:
        given["max_memory"] = 2 * (options["max_memory"] or bound(None))
    words = ["refault", "check", _name(outcome)]
    if outcome.job.variant:
        words += ["--variant", outcome.job.variant]
    for flag, value in _values(given):
        if value is not None:
            words += [flag, value]
    words += [flag for flag in ("--no-reduction", "--no-liveness") if given[_key(flag)]]
    return shlex.join([*words, "--resume"])


def _values(given: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    yield "--engine", given["engine"]
    yield "--time", f"{given['time']:g}" if given["time"] else None
    yield "--max-states", str(given["max_states"]) if given["max_states"] else None
    yield "--max-memory", text(given["max_memory"]) if given["max_memory"] else None
    yield "--jobs", str(given["jobs"]) if given["jobs"] else None
    yield "--cluster", given["cluster"] or None
    every = given["checkpoint_every"]
    yield "--checkpoint-every", f"{every:g}" if every else None
    yield "--keep", given["keep"] if given["keep"] != KEEP else None


def _key(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def _name(outcome: Outcome) -> str:
    job = outcome.job
    return f"{job.file}::{job.scenario.id}" if job.file else job.scenario.id
