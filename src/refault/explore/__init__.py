"""The explorer: cells, tasks, behaviour tables, exhaustive search. Knows nothing of Linux.

A program is made of ``Cell``s and tasks; ``check`` explores every interleaving of their visible
operations and returns a ``Verdict``; ``replay`` runs one schedule and returns its ``Trace``.
"""

from .cell import Cell, Holders, Mode
from .errors import (
    EndlessLoop,
    HiddenState,
    ModelError,
    Nondeterminism,
    ReplayDiverged,
    UserError,
    Violation,
)
from .operation import BLOCKED, Blocked, Op
from .program import Program, Task, View
from .replay import Replayer, replay
from .runtime import (
    atomic,
    choose,
    current_program,
    current_task,
    finish,
    note,
    restart,
    running,
    scope,
    traced,
)
from .search import check
from .symmetry import Names, renamed_in_order
from .trace import Event, Finding, Trace
from .verdict import Evidence, Limits, Verdict

__all__ = [
    "BLOCKED",
    "Blocked",
    "Cell",
    "EndlessLoop",
    "Event",
    "Evidence",
    "Finding",
    "HiddenState",
    "Holders",
    "Limits",
    "Mode",
    "ModelError",
    "Names",
    "Nondeterminism",
    "Op",
    "Program",
    "ReplayDiverged",
    "Replayer",
    "Task",
    "Trace",
    "UserError",
    "Verdict",
    "View",
    "Violation",
    "atomic",
    "check",
    "choose",
    "current_program",
    "current_task",
    "finish",
    "note",
    "renamed_in_order",
    "replay",
    "restart",
    "running",
    "scope",
    "traced",
]
