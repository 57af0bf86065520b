"""Looking at the arguments of a kernel function, as tracers do (``kernel/kprobes.c``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refault.explore import UserError
from refault.linux.modelled import modelled_function

if TYPE_CHECKING:
    from refault.linux.machine import Kernel


def register_kprobe(kernel: Kernel, function: str, handler: Callable[..., object]) -> None:
    """Call ``handler`` with the arguments of a kernel function, each time before it runs.

    For a story about what the kernel asks of itself. The handler runs in the task that calls; what
    it wants to remember belongs into a cell.
    """
    modelled = modelled_function(function)
    if modelled is None:
        raise UserError(f"no function {function} is modelled", "docs/model.md lists those that are")
    probed = kernel.patched.get(function, modelled.function)

    def run(*args: Any, **kwargs: Any) -> Any:
        handler(*args, **kwargs)
        return probed(*args, **kwargs)

    kernel.patched[function] = run
