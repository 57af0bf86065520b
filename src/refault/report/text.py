"""Plain-text helpers: ASCII, wrapping inside a column, and the prefix of quoted mail.

Diagrams travel through mailing lists and C comments, so nothing here may leave ASCII, leave
trailing blanks or depend on the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPELLING = {
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{NO-BREAK SPACE}": " ",
    "\N{NOT EQUAL TO}": "!=",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
}

# Where a C identifier or an argument list may be broken when a column is too narrow for it.
_BREAKABLE = re.compile(r".+?(?:[_,/]|->|\((?!\))|$)")


def ascii_text(text: str) -> str:
    """Spell ``text`` in printable ASCII, on one line."""
    spelled = "".join(_SPELLING.get(c, c) for c in text)
    return "".join(c if " " <= c <= "~" else "?" for c in " ".join(spelled.split()))


def prose(text: str) -> str:
    """Spell a paragraph of a docstring without its markup."""
    return ascii_text(text.replace("``", ""))


def signature(name: str) -> str:
    """Write a function as kernel people do: ``schedule()``, but ``UFFDIO_COPY``."""
    bare = name.isidentifier() and not name.isupper()
    return ascii_text(f"{name}()" if bare else name)


def shorten(text: str, limit: int) -> str:
    """Cut ``text`` to ``limit`` characters, showing that it was cut."""
    return text if len(text) <= limit else text[: max(0, limit - 3)] + "..."


def wrap(text: str, width: int, indent: int = 0, hang: int = 0) -> list[str]:
    """Break ``text`` into lines of at most ``width``, indented by ``indent``, later by ``hang``.

    Lines break at blanks; a word that is longer than a line breaks behind ``_``, ``,``, ``(``,
    ``/`` or ``->``, and anywhere if it has none of those.
    """
    lines: list[str] = []
    line = " " * indent
    for word in text.split():
        joined = f"{line} {word}" if line.strip() else line + word
        if len(joined) <= width:
            line = joined
            continue
        if line.strip():
            lines.append(line)
            line = " " * hang
        for piece in _pieces(word, width - max(indent, hang)):
            if len(line) + len(piece) > width:
                lines.append(line)
                line = " " * hang
            line += piece
    return [*lines, line] if line.strip() or not lines else lines


def _pieces(word: str, width: int) -> Iterable[str]:
    """Cut a word at its joints, and the pieces themselves if they are still too long."""
    if len(word) <= width:
        yield word
        return
    step = max(1, width)
    for piece in _BREAKABLE.findall(word):
        for start in range(0, len(piece), step):
            yield piece[start : start + step]


def prefixed(lines: Iterable[str], prefix: str) -> str:
    """Join ``lines``, each behind ``prefix``, with no blanks at the end of any of them."""
    return "\n".join(f"{prefix}{line}".rstrip() for line in lines)
