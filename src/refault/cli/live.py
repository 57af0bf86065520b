"""``refault live``: litmus tests on real kernels, against what the model allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from refault.explore.errors import UserError
from refault.litmus.compare import Comparison, counted
from refault.litmus.model import Refused, allowed
from refault.litmus.program import Outcome, Program
from refault.live.abi import Unavailable
from refault.live.facts import variant as variant_of
from refault.live.kernels import WORK, Place, places
from refault.report.live import HEADING, absent, histogram, line, summary, table
from refault.scenarios import Scenario

from . import live_modes
from .exits import EXPECTED, INCONCLUSIVE, UNEXPECTED
from .options import json_option, plain_option, variant, variant_options
from .select import scenarios
from .status import Status

RUNS = 20


@click.command("live")
@click.argument("names", nargs=-1, metavar="[ID | FILE.py[::NAME]]...")
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=RUNS,
    show_default=True,
    metavar="N",
    help="Run each so often.",
)
@click.option("--seed", type=int, default=1, metavar="N", help="Of the delays of racing threads.")
@click.option(
    "--vm",
    multiple=True,
    metavar="KERNEL",
    help="Boot this kernel in QEMU: a path, or debian:6.1. 'running' is the one that runs "
    "here. May be given several times.",
)
@click.option("--matrix", is_flag=True, help="Scenarios against kernels, in one table.")
@click.option(
    "--functions",
    is_flag=True,
    help="Compare the order of functions that kernels were recorded to call with the model's; "
    "with --vm they are recorded now.",
)
@click.option(
    "--fuzz",
    type=click.IntRange(min=1),
    metavar="N",
    help="Compare N random operations of random programs, on the running kernel.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    default=Path(".refault/fuzz"),
    show_default=True,
    metavar="DIR",
    help="Where --fuzz saves what differs.",
)
@variant_options
@json_option
@plain_option
@click.pass_context
def command(ctx: click.Context, /, names: tuple[str, ...], **options: Any) -> None:
    """Run litmus tests on a real kernel and compare with what the model allows.

    Without arguments all of the catalogue that can be observed is run, on the running kernel. The
    model is taken at the version of that kernel unless a variant is named. An outcome that the
    model forbids ends it with exit code 1.
    """
    status = Status(plain=options["plain"])
    if options["functions"]:
        machines = places(options["vm"], status.say) if options["vm"] else []
        kernel, as_json = options["kernel"], options["as_json"]
        ctx.exit(live_modes.functions(names, kernel, machines, as_json=as_json, status=status))
    if options["fuzz"]:
        seed, folder = options["seed"], options["save"]
        ctx.exit(live_modes.fuzzing(options["fuzz"], seed=seed, folder=folder, status=status))
    chosen = [s for s, _ in scenarios(names) if s.live is not None]
    if not chosen:
        raise UserError(
            f"no litmus test is called {' '.join(names)}",
            "refault list 'live-*' names those that can be observed on a real kernel",
        )
    session = Session(chosen, variant(options), options, status)
    ctx.exit(session.run(places(options["vm"], session.status.say)))


def _outcomes(program: Program, variant: str) -> frozenset[Outcome]:
    """What the model allows: nothing where that version cannot even begin."""
    try:
        return allowed(program, variant).outcomes
    except Refused:
        return frozenset()


class Session:
    """One run of the command: kernels one after the other, each with all scenarios."""

    def __init__(
        self,
        chosen: list[Scenario],
        variant: str | None,
        options: dict[str, Any],
        status: Status,
    ) -> None:
        self.chosen = chosen
        self.variant = variant
        self.options = options
        self.status = status
        self.found: list[Comparison] = []
        self.lines = not options["as_json"] and not options["matrix"]

    def run(self, kernels: list[Place]) -> int:
        """Do all kernels, or those that Ctrl-C allows; return the exit code."""
        interrupted = False
        try:
            for kernel in kernels:
                self._kernel(kernel)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self.status.done()
        self._finish()
        if interrupted:
            click.echo("refault: interrupted", err=True)
            return INCONCLUSIVE
        return self._code()

    def _kernel(self, kernel: Place) -> None:
        """Perform the scenarios on one kernel; one that is not to be had is said in a line."""
        given = {
            "programs": [[s.id, s.live.to_json()] for s in self.chosen if s.live is not None],
            "runs": self.options["runs"],
            "seed": self.options["seed"],
            "spin": kernel.spin,
        }
        before = len(self.found)
        try:
            with kernel:
                self._compare(kernel.run(WORK, given))
        except Unavailable as error:
            self.status.done()
            click.echo(f"refault: {kernel.name}: {error.message}\n  {error.remedy}", err=True)
            why = error.message.split("; its last words", 1)[0]
            self.found += [
                Comparison(s.id, kernel.name, "", counted(()), frozenset(), why, error.remedy)
                for s in self.chosen[len(self.found) - before :]
            ]

    def _compare(self, answers: Iterator[Any]) -> None:
        facts = next(answers)
        told = variant_of(facts) if self.variant is None else self.variant
        if self.lines:
            click.echo(f"kernel {facts['release']}, model {told or 'base'}\n\n{HEADING}")
        for scenario, answer in zip(self.chosen, answers, strict=True):
            self.status.say(f"{facts['release']}: {scenario.id}")
            assert scenario.live is not None
            may = _outcomes(scenario.live, told)
            self._tell(
                Comparison(
                    scenario.id,
                    facts["release"],
                    told,
                    counted(answer["outcomes"]),
                    may,
                    answer["missing"],
                    answer["remedy"],
                )
            )

    def _tell(self, one: Comparison) -> None:
        self.found.append(one)
        if self.lines:
            self.status.done()
            click.echo(line(one))

    def _finish(self) -> None:
        if self.options["as_json"]:
            data = msgspec.json.encode([one.to_json() for one in self.found])
            click.echo(msgspec.json.format(data, indent=2).decode())
        elif self.options["matrix"]:
            click.echo(_matrix(self.found))
        if self.lines:
            named = len(self.chosen) <= FEW
            for one in self.found:
                if one.forbidden or (named and not one.missing):
                    click.echo("\n" + histogram(one))
            for text in absent(self.found):
                click.echo("\n" + text)
            click.echo("\n" + summary(self.found))

    def _code(self) -> int:
        tried = [one for one in self.found if not one.missing]
        if any(not one.ok for one in tried):
            return UNEXPECTED
        return EXPECTED if tried else INCONCLUSIVE


FEW = 5
"""So many scenarios are shown with all of their outcomes; of more only those that went wrong."""


def _matrix(found: list[Comparison]) -> str:
    columns = list(dict.fromkeys(one.kernel for one in found))
    rows: dict[str, dict[str, Comparison]] = {}
    for one in found:
        rows.setdefault(one.scenario, {})[one.kernel] = one
    return table(columns, rows)
