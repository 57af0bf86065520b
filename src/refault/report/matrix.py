"""Scenario against kernel version, as ``refault matrix`` prints it.

      5.10   5.15    6.1   6.18  scenario
      lost   lost      .      .  resolved-before-enqueue

The names, which may be long, stand last. A word stands for each kind of finding; what the words
mean is said below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SHORT = {"holds": ".", "inconclusive": "?", "not modelled": "-"}


def abbreviations(verdicts: Iterable[str]) -> dict[str, str]:
    """A word of at most six letters for each verdict, no two alike."""
    short = {v: SHORT[v] for v in verdicts if v in SHORT}
    for verdict in sorted(set(verdicts) - short.keys()):
        words = verdict.replace("-", " ").split()
        tries = [words[0][:6], "".join(w[0] for w in words)[:6], words[-1][:6]]
        tries += [f"{words[0][:4]}{n}" for n in range(2, 100)]
        short[verdict] = next(t for t in tries if t not in short.values())
    return short


def heading(versions: Sequence[str]) -> str:
    """The line above the matrix."""
    return f"{''.join(f'{v:>{_wide(v)}}' for v in versions)}  scenario"


def line(versions: Sequence[str], words: Sequence[str], name: str) -> str:
    """The line of one scenario."""
    cells = "".join(f"{w:>{_wide(v)}}" for v, w in zip(versions, words, strict=True))
    return f"{cells}  {name}"


def _wide(version: str) -> int:
    return max(6, len(version)) + 1


def legend(short: dict[str, str]) -> str:
    """What the words of a matrix mean, a line each; empty if there is nothing but ``holds``."""
    told = sorted((word, verdict) for verdict, word in short.items())
    return "\n".join(f"{word:>7}  {verdict}" for word, verdict in told)
