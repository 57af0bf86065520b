"""Do one check and say what came out, whatever happens meanwhile."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import click

from refault.explore.errors import UserError
from refault.explore.verdict import Verdict
from refault.report.counterexample import slug
from refault.report.lines import Row

from .exits import BAD_INPUT, EXPECTED, INCONCLUSIVE, UNEXPECTED
from .progress import Progress
from .select import Job

INTERRUPTED = "interrupted"


class Outcome(NamedTuple):
    """What came of a job: the row to print, and the verdict unless there is none.

    ``remark`` says why the search is not complete, ``error`` why there was none.
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
        return EXPECTED if self.row.ok else UNEXPECTED


def settle(job: Job, limits: Mapping[str, Any], progress: Progress, keep: str = "") -> Outcome:
    """Check ``job``; Ctrl-C makes it inconclusive, a defect of the model makes it an error.

    ``keep`` is the folder for the checkpoint of a search that is stopped, if any.
    """
    start = perf_counter()
    extra: dict[str, Any] = {"checkpoint": checkpoint_file(keep, job), "progress": progress.update}
    try:
        with blamed_on_story(job), warned():
            verdict = job.scenario.check(job.variant, **extra, **limits)
    except MemoryError:
        row = _broken_off(job, "inconclusive", progress, perf_counter() - start)
        return Outcome(job, row, remark="out of memory: raise --max-memory")
    except KeyboardInterrupt:
        row = _broken_off(job, "inconclusive", progress, perf_counter() - start)
        return Outcome(job, row, remark=INTERRUPTED)
    except UserError as error:
        row = _broken_off(job, "error", progress, perf_counter() - start)
        return Outcome(job, row, error=error)
    finally:
        progress.done()
    return Outcome(job, _concluded(job, verdict), verdict, verdict.reason)


def checkpoint_file(folder: str, job: Job) -> Path | None:
    """Where the checkpoint of a job is kept."""
    return Path(folder, f"{slug(job.scenario.id, job.variant)}.checkpoint") if folder else None


@contextmanager
def warned() -> Iterator[None]:
    """Show warnings of the explorer as the command line does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            yield
        finally:
            for w in caught:
                click.echo(f"refault: warning: {w.message}", err=True)


@contextmanager
def blamed_on_story(job: Job) -> Iterator[None]:
    """Make a bad input of an exception that comes from the lines of the story itself."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == job.scenario.file]
        if not lines:
            raise
        raise UserError(
            f"{job.file or job.scenario.file}:{lines[-1]}: {type(error).__name__}: {error}",
            "mend the scenario",
        ) from error


def _concluded(job: Job, verdict: Verdict) -> Row:
    trace = next((trace for _, trace in verdict.findings if trace), None)
    return Row(
        scenario=job.scenario.id,
        variant=job.variant,
        verdict=str(verdict),
        expected=job.scenario.expected(job.variant),
        ok=job.scenario.as_expected(verdict, job.variant),
        states=verdict.evidence.states,
        transitions=verdict.evidence.transitions,
        seconds=round(verdict.evidence.seconds, 3),
        switches=trace.switches if trace else None,
        steps=trace.steps if trace else None,
    )


def _broken_off(job: Job, verdict: str, progress: Progress, seconds: float) -> Row:
    """Return the row of a check that came to no verdict."""
    states, transitions = progress.counts
    return Row(
        scenario=job.scenario.id,
        variant=job.variant,
        verdict=verdict,
        expected=job.scenario.expected(job.variant),
        ok=False,
        states=states,
        transitions=transitions,
        seconds=round(seconds, 3),
    )
