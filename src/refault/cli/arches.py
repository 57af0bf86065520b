"""``refault arches``: the page-fault entries of the architectures."""

from __future__ import annotations

import difflib
from typing import Any

import click
import msgspec

from refault.explore.errors import UserError
from refault.linux.arch import ARCHITECTURES

from .options import json_option


@click.command("arches")
@click.argument("names", nargs=-1, metavar="[ARCH]...")
@click.option("--results", is_flag=True, help="What each makes of each result of a fault.")
@click.option("--mixed", is_flag=True, help="Of results that no well-behaved handler returns.")
@click.option("--served", is_flag=True, help="What one generic_page_fault() would change.")
@json_option
def command(names: tuple[str, ...], **options: Any) -> None:
    """Print the page-fault entries of the architectures, and what comes of faults there.

    Without options: the parameters in which they differ. The other tables are computed by running
    the entries of the model, every case once: each result of handle_mm_fault(), from user mode and
    from the kernel with and without an entry in the exception table, with no signal pending, one,
    or SIGKILL, under the lock of the VMA and under mmap_lock.
    """
    arches = [_known(name) for name in names] or list(ARCHITECTURES)
    wanted = [name for name in ("results", "mixed", "served") if options[name]]
    if len(wanted) > 1:
        raise UserError(f"--{wanted[0]} and --{wanted[1]} are different tables", "ask for one")
    show = {"results": _results, "mixed": _mixed, "served": _served}
    text, data = (show[wanted[0]] if wanted else _parameters)(arches)
    if options["as_json"]:
        text = msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    click.echo(text)


def _known(name: str) -> str:
    if name in ARCHITECTURES:
        return name
    near = difflib.get_close_matches(name, ARCHITECTURES, n=3, cutoff=0.4)
    raise UserError(
        f"no architecture is called {name!r}",
        f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(ARCHITECTURES)}",
    )


def _parameters(arches: list[str]) -> tuple[str, Any]:
    from refault.linux.arch.table import entry  # noqa: PLC0415  # so that --help is quick
    from refault.report.arches import described, parameters, peculiar, storage  # noqa: PLC0415

    entries = [entry(arch) for arch in arches]
    parts = [parameters(entries), peculiar(entries), storage(entries)]
    return "\n\n".join(parts), [described(e) for e in entries]


def _results(arches: list[str]) -> tuple[str, Any]:
    from refault.linux.arch.cells import Mode, all_results  # noqa: PLC0415
    from refault.report.arches import (  # noqa: PLC0415
        RESULTS_LEGEND,
        balance,
        matrix,
        plain,
        retries,
    )

    found = all_results(arches)
    parts = [matrix(found, Mode.USER), matrix(found, Mode.UACCESS), retries(found)]
    parts += [RESULTS_LEGEND, "\n".join(balance(found))]
    return "\n\n".join(parts), [plain(*pair) for pair in found.items()]


def _mixed(arches: list[str]) -> tuple[str, Any]:
    from refault.linux.arch.cells import all_results, mixes  # noqa: PLC0415
    from refault.report.arches import RESULTS_LEGEND, balance, mixed, plain  # noqa: PLC0415

    found = all_results(arches, mixes())
    parts = [mixed(found), RESULTS_LEGEND, "\n".join(balance(found))]
    return "\n\n".join(parts), [plain(*pair) for pair in found.items()]


def _served(arches: list[str]) -> tuple[str, Any]:
    from refault.patches.served import service  # noqa: PLC0415
    from refault.report.served import plain_service, served  # noqa: PLC0415

    found = [service(arch) for arch in arches]
    return served(found), [plain_service(s) for s in found]
