"""One line on stderr about what is going on, where somebody waits."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.status import Status as Spinner

PLAIN = 10.0
"""Seconds between two lines that stay."""


class Status:
    """Says what is going on: a line that moves on a terminal, elsewhere one every ten seconds."""

    def __init__(self, *, plain: bool = False) -> None:
        self._moving = sys.stderr.isatty() and not plain
        self._due = monotonic() + PLAIN
        self._spinner: Spinner | None = None

    def say(self, words: str) -> None:
        """Say it, unless something was said a moment ago."""
        if not self._moving:
            if monotonic() >= self._due:
                self._due = monotonic() + PLAIN
                click.echo(words, err=True)
            return
        if self._spinner is None:
            from rich.console import Console  # noqa: PLC0415  # only terminals need it

            console = Console(stderr=True, highlight=False, markup=False)
            self._spinner = console.status("")
            self._spinner.start()
        self._spinner.update(words)

    def done(self) -> None:
        """Take away what moves."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None
