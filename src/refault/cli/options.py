"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

KEEP = ".refault"
LIMITS = ("max_states", "max_memory", "time", "engine", "jobs", "cluster", "checkpoint_every")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Return the bytes in ``4G``, ``512M`` or a plain number."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
    found = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if found <= 0:
        raise click.BadParameter(f"{value!r} is not an amount of memory, such as 4G or 512M")
    return found


def seconds(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    """Return a time that is a number: ``nan`` is none."""
    if value is not None and value != value:  # noqa: PLR0124
        raise click.BadParameter("nan is not a time")
    return value


def limit_options(command: F) -> F:
    """Add the limits of a search; they reach ``Scenario.check`` under its own names."""
    for option in (
        click.option(
            "--engine",
            type=click.Choice(["portfolio", "states", "traces", "random"]),
            help="What searches: the race of all (default), or one of them.",
        ),
        click.option(
            "--resume", is_flag=True, help="Go on from the checkpoint of a search that was stopped."
        ),
        click.option(
            "--checkpoint-every",
            type=click.FloatRange(min=0, min_open=True),
            callback=seconds,
            metavar="SECONDS",
            help="Write a checkpoint so often (120).",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Use so many cores (all).",
        ),
        click.option(
            "--cluster",
            metavar="ADDRESS",
            help="Search on a Ray cluster, or 'local' (takes refault[ray]).",
        ),
        click.option("--no-liveness", is_flag=True, help="Do not look for livelocks."),
        click.option("--no-reduction", is_flag=True, help="Explore without any reduction."),
        click.option(
            "--time",
            type=click.FloatRange(min=0, min_open=True),
            callback=seconds,
            metavar="SECONDS",
            help="Stop after this time (300).",
        ),
        click.option(
            "--max-memory",
            callback=size,
            metavar="SIZE",
            help="Stop at this much memory, such as 4G (half of what is available).",
        ),
        click.option(
            "--max-states",
            type=click.IntRange(min=1),
            metavar="N",
            help="Stop after this many states (50 million).",
        ),
    ):
        command = option(command)
    return command


def limits(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the limit options say, leaving out what is not given."""
    given = {key: options[key] for key in LIMITS}
    chosen = {key: value for key, value in given.items() if value is not None}
    chosen |= {"reduce": False} if options["no_reduction"] else {}
    chosen |= {"liveness": False} if options["no_liveness"] else {}
    return chosen | ({"resume": True} if options["resume"] else {})


def keep_options(command: F) -> F:
    """Add where counterexamples are kept; the value is None if they are not."""
    command = click.option("--no-keep", "keep", flag_value="", help="Do not keep counterexamples.")(
        command
    )
    return click.option(
        "--keep",
        default=KEEP,
        metavar="DIR",
        help=f"Keep counterexamples in this folder ({KEEP}).",
    )(command)


def patch_options(command: F) -> F:
    """Add patches by name; ``changes`` reads them."""
    for option in (
        click.option(
            "--without",
            multiple=True,
            metavar="NAME",
            help="Revert a patch; may be given several times.",
        ),
        click.option(
            "--with",
            "with_",
            multiple=True,
            metavar="NAME",
            help="Apply a patch; may be given several times.",
        ),
    ):
        command = option(command)
    return command


def changes(options: dict[str, Any]) -> dict[str, bool]:
    """Return the names of patches, and whether they are to be there."""
    return dict.fromkeys(options["with_"], True) | dict.fromkeys(options["without"], False)


def variant_options(command: F) -> F:
    """Add what chooses a variant; ``variant`` puts the options together."""
    command = patch_options(command)
    for option in (
        click.option("--on", metavar="ARCH", help="Another architecture than x86."),
        click.option(
            "--kernel", metavar="VERSION", help="Another version of Linux than 6.18, such as 5.9."
        ),
        click.option(
            "--variant",
            metavar="VARIANT",
            help="All of these in one: '5.9, on arm64, with NAME, without NAME'.",
        ),
    ):
        command = option(command)
    return command


def variant(options: dict[str, Any]) -> str | None:
    """Return the variant that the options name, None if they name none."""
    parts = [
        *([options["variant"]] if options["variant"] is not None else []),
        *([options["kernel"]] if options["kernel"] is not None else []),
        *([f"on {options['on']}"] if options["on"] is not None else []),
        *(f"{'with' if present else 'without'} {n}" for n, present in changes(options).items()),
    ]
    return ", ".join(parts) if parts else None


json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
plain_option = click.option(
    "--plain",
    is_flag=True,
    help="Progress in lines that stay, as where stderr is no terminal.",
)


def text_options(command: F) -> F:
    """Add how diagrams are written."""
    command = click.option(
        "--width",
        type=click.IntRange(min=40),
        default=76,
        show_default=True,
        help="Longest line of a diagram.",
    )(command)
    return click.option(
        "--prefix",
        default="",
        help="Put this before each line: ' * ' for a C comment, '> ' for a quote.",
    )(command)
