"""Do one check and say what came out, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple

from refault.explore.errors import UserError
from refault.explore.verdict import Verdict
from refault.report.lines import Expected, Row, expectation, met

from .exits import BAD_INPUT, EXPECTED, INCONCLUSIVE, UNEXPECTED
from .group import report_error
from .progress import Progress
from .select import Job, normal

INTERRUPTED = "interrupted"


class Outcome(NamedTuple):
    """What came of a job: the row to print, and the verdict unless there is none.

    ``remark`` says why it is not conclusive. ``error`` is set if the scenario cannot be checked.
    """

    job: Job
    row: Row
    verdict: Verdict | None = None
    remark: str = ""
    error: UserError | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended this check."""
        return self.remark.startswith(INTERRUPTED)

    @property
    def exit_code(self) -> int:
        """The exit code that this outcome asks for."""
        if self.error is not None:
            return BAD_INPUT
        if self.row.verdict == "inconclusive":
            return INCONCLUSIVE
        fine = self.row.ok if self.row.ok is not None else self.row.verdict == "holds"
        return EXPECTED if fine else UNEXPECTED


def settle(job: Job, limits: Mapping[str, Any], progress: Progress) -> Outcome:
    """Check ``job``; Ctrl-C makes it inconclusive, an error in the model makes it an error."""
    expected = expected_of(job)
    start = perf_counter()
    try:
        verdict = job.scenario.check(job.variant, progress=progress.update, **limits)
    except KeyboardInterrupt:
        seconds = perf_counter() - start
        row = _row(job, "inconclusive", expected, False, progress.counts, seconds)
        return Outcome(job, row, None, INTERRUPTED)
    except UserError as error:
        row = _row(job, "error", expected, False, progress.counts, perf_counter() - start)
        return Outcome(job, row, None, "", error)
    finally:
        progress.done()
    return _concluded(job, verdict, expected)


def expected_of(job: Job) -> Expected:
    """Return what the scenario expects of the variant, None if it does not say."""
    for variant, expected in job.scenario.expect.items():
        if normal(variant) == job.variant:
            return expected
    return None


def _concluded(job: Job, verdict: Verdict, expected: Expected) -> Outcome:
    evidence = verdict.evidence
    ok = met(str(verdict), [finding.kind for finding, _ in verdict.findings], expected)
    counts = (evidence.states, evidence.transitions)
    row = _row(job, str(verdict), expected, ok, counts, evidence.seconds, verdict)
    return Outcome(job, row, verdict, verdict.reason if verdict.kind == "inconclusive" else "")


def _row(
    job: Job,
    verdict: str,
    expected: Expected,
    ok: bool | None,
    counts: tuple[int, int],
    seconds: float,
    found: Verdict | None = None,
) -> Row:
    trace = next((trace for _, trace in found.findings if trace), None) if found else None
    return Row(
        scenario=job.scenario.id,
        variant=job.variant,
        verdict=verdict,
        expected=expectation(expected),
        ok=ok,
        states=counts[0],
        transitions=counts[1],
        seconds=round(seconds, 3),
        switches=trace.switches if trace else None,
        steps=trace.steps if trace else None,
    )
