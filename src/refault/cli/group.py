"""A command group that imports a command when it is called, and ends every error well."""

from __future__ import annotations

import errno
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from .exits import BAD_INPUT, INCONCLUSIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refault.explore.errors import UserError


class LazyGroup(click.Group):
    """Commands live in ``refault.cli.<name>``, as the object ``command``.

    ``UserError`` becomes a message with a hint and exit code 2, Ctrl-C exit code 3; neither
    becomes a traceback.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands; imports none."""
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in self.lazy:
            return None
        found = import_module(f"refault.cli.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands; imports none."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self.lazy.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and turn bad input and Ctrl-C into messages and exit codes."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("refault: interrupted", err=True)
            ctx.exit(INCONCLUSIVE)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            click.echo(f"refault: error: cannot write: {error.strerror or error}", err=True)
            ctx.exit(BAD_INPUT)
        except Exception as error:
            if not isinstance(error, import_module("refault.explore.errors").UserError):
                raise
            report_error(error)
            ctx.exit(BAD_INPUT)


def report_error(error: UserError, about: str = "") -> None:
    """Print an error and its remedy on stderr."""
    where = f"{about}: " if about else ""
    click.echo(f"refault: error: {where}{error.message}", err=True)
    if error.remedy:
        click.echo(f"  hint: {error.remedy}", err=True)
