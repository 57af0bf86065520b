"""Which line of a story tells of an operation.

Most operations have no line of their own: a function that is one line did them, or what they found
is told by a note. Marks belong on those lines.
"""

from __future__ import annotations

from collections.abc import Iterator

from .calls import Call, Deed, Point, deeds, point


def everything(call: Call) -> Iterator[Call | Deed]:
    """Yield all below ``call``, in the order in which it happened."""
    for item in call.items:
        yield item
        if isinstance(item, Call):
            yield from everything(item)


def speaker(bottom: Call, wanted: Point) -> Call | Deed | None:
    """Return what has, or should have, the line that tells of an operation.

    That is the one-line function that it is part of, or the first note made on it, or the quiet
    function that does nothing else, or itself. A note on what was read may come later in the
    function. A step that failed has left no more than a note.
    """
    found: Deed | None = None
    failed: Deed | None = None
    for deed, inside in deeds(bottom):
        if found is None:
            if deed.event.kind == "op" and point(deed) == wanted:
                if inside is not None:
                    return inside
                found = deed
            elif deed.event.kind == "note" and deed.event.step == wanted[0]:
                failed = deed
        elif deed.event.kind == "op":
            if found.event.old != found.event.new:
                break
        elif deed.shown and deed.run == found.run and _on(deed, found):
            return deed
    return failed if found is None else _wrapper(found)


def _on(note: Deed, operation: Deed) -> bool:
    """Tell whether a note may be about an operation: of its step, or of the same function."""
    return note.event.step == operation.event.step or _frame(note) is _frame(operation)


def _frame(deed: Deed) -> Call:
    """Return the function with a line that ``deed`` is part of, else the bottom of the stack."""
    call = deed.caller
    while not call.shown and call.caller is not None:
        call = call.caller
    return call


def _wrapper(deed: Deed) -> Call | Deed:
    """Return the quiet function that wraps the operation, if it changed anything."""
    call = deed.caller
    alone = len(call.items) == 1 and call.name and call.quiet
    return call if alone and deed.event.old != deed.event.new else deed


def stuck_in(bottom: Call, step: int) -> Call | None:
    """Return the innermost function with a line that was entered at the end and never left."""
    found: Call | None = None
    for item in everything(bottom):
        if isinstance(item, Call) and item.shown and not item.closed and item.step >= step:
            found = item
    return found
