"""Places in the model's source, for messages."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

from .trace import Finding

_OWN = str(Path(__file__).parent) + os.sep
_PACKAGE = Path(__file__).parent.parent
_MODEL = (_OWN, str(_PACKAGE / "linux") + os.sep, os.path.dirname(os.__file__) + os.sep, "<")


def short(path: str) -> str:
    """A path as people write it: from ``refault/`` on for our own, relative to here if below."""
    if Path(path).is_relative_to(_PACKAGE):
        return str(Path(path).relative_to(_PACKAGE.parent))
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return path
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def code_place(fn: Any) -> str:
    """``file:line (function)`` of a function."""
    code: CodeType | None = getattr(getattr(fn, "__func__", fn), "__code__", None)
    if code is None:
        return getattr(fn, "__qualname__", repr(fn))
    return f"{short(code.co_filename)}:{code.co_firstlineno} ({code.co_qualname})"


def model_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame outside the explorer."""
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame


def is_story(frame: FrameType) -> bool:
    """Whether a frame is of neither this package's model nor Python's own library."""
    return not frame.f_code.co_filename.startswith(_MODEL)


def caller_place() -> str:
    """``file:line (function)`` of the model code that is calling the explorer now."""
    frame = model_frame(sys._getframe(1))
    if frame is None:
        return "the model"
    code = frame.f_code
    return f"{short(code.co_filename)}:{frame.f_lineno} ({code.co_qualname})"


def innermost(error: BaseException) -> traceback.FrameSummary:
    """Where model code raised: the last frame outside the explorer and Python's own library."""
    frames = list(traceback.extract_tb(error.__traceback__))
    foreign = (_OWN, "<", os.path.dirname(os.__file__) + os.sep)
    own = [f for f in frames if not f.filename.startswith(foreign)]
    return (own or frames)[-1]


def assertion(error: AssertionError) -> Finding:
    """A failed ``assert`` of model code, with its line."""
    at = innermost(error)
    source = (linecache.getline(at.filename, at.lineno or 0)).strip()
    said = str(error).split("\n", 1)[0]
    message = f"{short(at.filename)}:{at.lineno} ({at.name}): {said or source}"
    return Finding("assertion failure", message)


def describe(value: object) -> str:
    """A value in a message, cut to a line."""
    text = repr(value)
    kind = type(value).__name__
    return f"{text[:60]}{'…' if len(text) > 60 else ''} ({kind})"


def is_generator(fn: object) -> bool:
    """Whether calling ``fn`` makes a generator or a coroutine, which no task may be."""
    return isinstance(fn, FunctionType) and bool(fn.__code__.co_flags & 0x2A0)
