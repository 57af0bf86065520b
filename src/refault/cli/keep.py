"""Keep counterexamples in a folder; a folder that cannot be written costs a warning, no verdict."""

from __future__ import annotations

import click

from refault.report.counterexample import Counterexample, file_digest

from .checking import Outcome


class Keeper:
    """Writes the counterexamples of outcomes into ``folder``; keeps nothing if that is empty."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._warned = False

    def keep(self, outcome: Outcome) -> list[str]:
        """Return the path of the file of each finding, ``""`` where none was written."""
        if outcome.verdict is None or not self.folder:
            return []
        count = len(outcome.verdict.findings)
        return [self._keep_one(outcome, number) for number in range(count)]

    def _keep_one(self, outcome: Outcome, number: int) -> str:
        example = counterexample(outcome, number)
        if example is None:
            return ""
        try:
            return str(example.save(self.folder, number))
        except OSError as error:
            if not self._warned:
                self._warned = True
                click.echo(
                    f"refault: warning: counterexamples are not kept: {self.folder}: "
                    f"{error.strerror or error}",
                    err=True,
                )
            return ""


def counterexample(outcome: Outcome, number: int) -> Counterexample | None:
    """Make the file of finding ``number``, None if it has no schedule."""
    job, verdict = outcome.job, outcome.verdict
    assert verdict is not None
    finding, trace = verdict.findings[number]
    if trace is None:
        return None
    return Counterexample(
        scenario=job.scenario.id,
        variant=job.variant,
        file=job.file,
        sha256=file_digest(job.file) if job.file else None,
        expected=outcome.row.expected,
        finding=finding,
        trace=trace,
        evidence=verdict.evidence,
    )
