"""The error that is the user's to mend. Imports nothing: every layer may raise it, anywhere."""

from __future__ import annotations


class UserError(Exception):
    """Bad input: shown as a message and a hint, exit code 2, never as a traceback."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
