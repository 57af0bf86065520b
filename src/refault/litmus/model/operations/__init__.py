"""What the steps of a litmus test are on the model."""

from . import pages, threads, userfaultfd
from .registry import OPERATIONS

__all__ = ["OPERATIONS", "pages", "threads", "userfaultfd"]
