"""A task as a greenlet: runs until it asks for an operation, goes on with the result."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from types import CodeType, FrameType
from typing import Any, NamedTuple, NoReturn

from greenlet import GreenletExit, getcurrent, greenlet

from . import runtime
from .errors import ModelError, Violation
from .operation import Op
from .program import Program, Task
from .trace import Finding
from .where import assertion, caller_place, innermost, is_story, model_frame, short

resumed = 0
"""How many times any task was resumed: by this the watchdog tells one run from another."""


class Request(NamedTuple):
    """What a suspended task wants: an operation, or a choice between ``options``.

    ``cont`` tells that it goes on with an atomic block, so that nobody may run before it.
    """

    op: Op | None
    options: tuple[Any, ...]
    cont: bool


class Finished(NamedTuple):
    """The task returned."""


class TaskEnd(BaseException):
    """Unwinds a task that ends before its function returns."""


FINISHED = Finished()
Stop = Request | Finished | Finding
Place = tuple[tuple[CodeType, int], ...]
"""Where a task is: in its story, and where that has called the model, there too."""


def place_text(place: Place | None) -> str:
    """``file:line (function)``, from the story inwards."""
    if place is None:
        return "the model"
    at = (f"{short(code.co_filename)}:{line} ({code.co_qualname})" for code, line in place)
    return " > ".join(at)


def place_of(frame: FrameType | None) -> Place | None:
    """The innermost frame of the model, behind the innermost one of the story that called it."""
    if frame is None:
        return None
    inner = ((frame.f_code, frame.f_lineno),)
    outer: FrameType | None = frame
    while outer is not None and not is_story(outer):
        outer = outer.f_back
    if outer is None or outer is frame:
        return inner
    return ((outer.f_code, outer.f_lineno), *inner)


class Runner:
    """Drives one run of one task; subclasses say what is remembered of it."""

    def __init__(self, program: Program, task: Task) -> None:
        self.program = program
        self.task = task
        self.task_name = task.name
        self.feeding = False
        self.place: Place | None = None
        self._atomic = 0
        self._opened = False
        self._dying = False
        self._ended = False
        self._greenlet = greenlet(self._main)

    @property
    def atomic(self) -> int:
        """Depth of nested atomic blocks."""
        return self._atomic

    @atomic.setter
    def atomic(self, depth: int) -> None:
        self._atomic = depth
        if depth == 0:
            self._opened = False

    def resume(self, value: Any = None) -> Stop:
        """Go on with the result of the last request, up to the next one or to the end."""
        global resumed  # noqa: PLW0603
        resumed += 1
        outer, runtime.current = runtime.current, self
        try:
            return self._greenlet.switch(value)  # type: ignore[no-any-return]
        finally:
            runtime.current = outer

    def kill(self) -> None:
        """Unwind a suspended run; whatever its clean-up code asks for is refused."""
        if not self._greenlet or self._greenlet.dead:
            return
        self._dying = True
        outer, runtime.current = runtime.current, self
        try:
            self._greenlet.throw(GreenletExit)
        finally:
            runtime.current = outer

    def _main(self, _value: Any = None) -> Stop:
        try:
            self.task.fn(*self.task.args)
            self._settle()
        except TaskEnd:
            pass
        except Violation as v:
            return Finding(v.kind, v.message)
        except AssertionError as e:
            return assertion(e)
        except (ModelError, GreenletExit, KeyboardInterrupt, MemoryError):
            raise
        except BaseException as e:  # SystemExit too: a task cannot end the explorer
            raise self._crash(e) from e
        return FINISHED

    def _settle(self) -> None:
        if self.program.mutation is not None:
            self.program.mutation.finish(self)

    def finish(self) -> NoReturn:
        """See ``runtime.finish``."""
        if self._atomic:
            raise ModelError(
                f"{caller_place()}: finish() inside atomic()", "finish after the atomic block"
            )
        self._settle()
        self._ended = True
        raise TaskEnd

    def _crash(self, error: BaseException) -> ModelError:
        frame = innermost(error)
        return ModelError(
            f"{short(frame.filename)}:{frame.lineno} ({frame.name}): task {self.task_name!r} "
            f"raised {type(error).__name__}: {error}",
            "mend the model, or raise Violation where this is the finding",
        )

    def _ask(self, op: Op | None, options: tuple[Any, ...]) -> Any:
        if self._dying:
            raise GreenletExit
        if self._ended:
            raise TaskEnd
        if self is not runtime.current or getcurrent() is not self._greenlet:
            raise ModelError(f"{caller_place()}: an operation of a task that is not running", "")
        if not self.feeding:
            self.place = place_of(model_frame(sys._getframe(2)))
        cont = self._opened
        self._opened = self._atomic > 0
        parent = self._greenlet.parent
        assert parent is not None
        return parent.switch(Request(op, options, cont))

    def perform(self, op: Op) -> Any:
        """See ``runtime.perform``; a mutation comes in between here."""
        mutation = self.program.mutation
        return self._ask(op, ()) if mutation is None else mutation.perform(self, op)

    def ask(self, op: Op) -> Any:
        """Do one operation as it is."""
        return self._ask(op, ())

    def choose(self, options: tuple[Any, ...]) -> Any:
        """See ``runtime.choose``."""
        return self._ask(None, options)

    def restart(self, site: Hashable, state: tuple[Any, ...]) -> None:
        """See ``runtime.restart``."""

    def enter(self, name: str) -> None:
        """A scope begins."""

    def leave(self, name: str, result: Any) -> None:
        """A scope returned ``result``."""

    def abandon(self, name: str) -> None:
        """A scope raised."""

    def note(self, text: str) -> None:
        """An observation of the model."""

    def reach(self, name: str) -> None:
        """Something that was declared possible has happened."""
        self.program.reached.add(name)
