"""The command line. Results go to stdout, progress and errors to stderr.

Nothing here but click is imported before a command is known: ``refault --help`` is quick.
"""

from __future__ import annotations

import signal
from types import FrameType

import click

from refault import __version__

from .group import LazyGroup

COMMANDS = {
    "arches": "Print the page-fault entries of the architectures, and what comes of faults there.",
    "bisect": "Name the patch at which a verdict changes from one version to the next.",
    "check": "Explore every interleaving of scenarios.",
    "claims": "Judge what was claimed in the mail threads, by the scenarios that settle it.",
    "live": "Run litmus tests on a real kernel and compare with what the model allows.",
    "list": "List the catalogue with its expected verdicts.",
    "matrix": "Print the verdict of each scenario in each version of Linux.",
    "mutate": "Drop one synchronisation at a time, and list what makes no difference.",
    "probe": "Tell what a kernel has for userfaultfd, and how it behaves.",
    "replay": "Run a kept counterexample through the model again.",
    "show": "Check one scenario and show its story and diagram.",
}
"""Module and command of the same name, with the line that ``refault --help`` has for each."""

EPILOG = """\b
Exit codes:
  0  all verdicts as expected
  1  a verdict that was not expected
  2  bad usage or bad input
  3  inconclusive: a limit was reached, or Ctrl-C, or SIGTERM"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="refault", message="%(prog)s %(version)s")
def cli() -> None:
    """Find races in Linux's page-fault machinery by exploring an executable model of it.

    A scenario is a story told by several tasks. refault runs it in every order that the model
    allows, and draws what goes wrong as the diagram that is posted to mailing lists.
    """


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line: the ``refault`` script. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminate)
    cli(prog_name="refault")
