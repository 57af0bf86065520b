"""What the steps of a litmus test are on the model."""

from . import threads, userfaultfd
from .registry import OPERATIONS

__all__ = ["OPERATIONS", "threads", "userfaultfd"]
