"""What marks a function of the model as a kernel function, and what the model leaves out.

Each modelled function carries the kernel's name and the file that defines it there. The mark
makes it a line of a trace, drops its internal history when it returns, and lets a patch put
another function in its place by name, as a livepatch does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, cast

from refault.explore import current_program, current_task, traced
from refault.explore.errors import ModelError

if TYPE_CHECKING:
    from refault.linux.machine import Kernel
    from refault.linux.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class NotModelled(ModelError):
    """A path of the kernel that the model does not have was reached.

    A verdict on such a run would say nothing about Linux, so the run stops here. ``path`` names
    the kernel's path in words, ``why`` how one gets there.
    """

    def __init__(self, path: str, why: str = "") -> None:
        super().__init__(
            f"not modelled: {path}" + (f" ({why})" if why else ""),
            "change the scenario so that it does not get there, or model that path",
        )
        self.path = path


class Modelled(NamedTuple):
    """A registered kernel function: its name, the kernel file that defines it, and its model.

    ``key`` is what patches call it: the name, or ``FILE:NAME`` of a function that architectures
    have one each of.
    """

    key: str
    name: str
    file: str
    function: Callable[..., Any]


_registry: dict[str, Modelled] = {}


def modelled_functions() -> Iterator[Modelled]:
    """Yield every modelled kernel function, by name."""
    return iter(sorted(_registry.values()))


def modelled_function(key: str) -> Modelled | None:
    """Return the modelled kernel function that patches call ``key``, or None."""
    return _registry.get(key)


def current_kernel() -> Kernel:
    """Return the kernel that the running task belongs to."""
    return cast("Kernel", current_program().context["kernel"])


def current() -> Task:
    """Return the running task, as the kernel's ``current`` does."""
    return current_kernel().task(current_task())


def kernel_function(
    file: str,
    *,
    label: str | Callable[..., str] | None = None,
    quiet: bool = False,
    qualified: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function as the model of the function of the same name in ``file``.

    ``label`` is the text of its line in a diagram, or makes it from the arguments; a ``quiet``
    function gets no line of its own, only what it calls does. A ``qualified`` one is known by file
    and name, such as ``arch/csky/mm/fault.c:do_page_fault``: others have functions of that name.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__
        key = f"{file}:{name}" if qualified else name
        if key in _registry:
            raise ValueError(f"{name} is modelled twice: {_registry[key].file} and {file}")
        _registry[key] = Modelled(key, name, file, function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            kernel = current_kernel()
            kernel.asked.add(key)
            chosen = kernel.patched.get(key, function)
            return cast("R", chosen(*args, **kwargs))

        return traced(name=_line(label or name, quiet))(call)

    return mark


def _line(label: str | Callable[..., str], quiet: bool) -> str | Callable[..., str]:
    """Return the name of a trace event; a leading ``~`` keeps it out of diagrams."""
    if not quiet:
        return label
    if isinstance(label, str):
        return f"~{label}"
    return lambda *args, **kwargs: f"~{label(*args, **kwargs)}"
