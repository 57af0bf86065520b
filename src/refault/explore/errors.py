"""What can go wrong with a model or with its use, each with the place and a remedy."""

from __future__ import annotations

from refault.errors import UserError

__all__ = [
    "EndlessLoop",
    "HiddenState",
    "ModelError",
    "Nondeterminism",
    "ReplayDiverged",
    "UserError",
    "Violation",
]


class ModelError(UserError):
    """The model breaks a rule of the explorer; no verdict on it would mean anything."""


class HiddenState(ModelError):
    """Two histories met in one local state and then behaved differently."""


class Nondeterminism(ModelError):
    """The same results led a task to different operations."""


class EndlessLoop(ModelError):
    """A task keeps operating without ever returning from a scope or restarting."""


class ReplayDiverged(UserError):
    """A recorded schedule does not fit the model: ``step`` says from where on."""

    def __init__(self, step: int, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.step = step


class Violation(Exception):
    """Raised by model code: the property named ``kind`` is broken here and now.

    It ends the run that reached it; the explorer reports ``kind`` with the schedule.
    """

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind
        self.message = message
