"""The picture of ``bench.growth``: seconds above, megabytes below, a column for each program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from bench.growth import SERIES
from matplotlib.ticker import FuncFormatter, MaxNLocator

COLOURS = {"refault": "#0b5cad", "SPIN": "#c4561b", "GenMC": "#2a7f4f"}
ROWS = (("s", "seconds"), ("mb", "MB"))


def draw(data: dict[str, Any], path: Path) -> None:
    """Draw the points that were measured; where a line ends, the next size did not finish."""
    mpl.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "refault"})
    figure, axes = plt.subplots(2, len(SERIES), figsize=(10, 5.4), sharex="col", sharey="row")
    for column, (name, series) in enumerate(SERIES.items()):
        for row, (what, unit) in enumerate(ROWS):
            axis = axes[row][column]
            ends = {
                who: _line(axis, _done(data, name, who), what, who)
                for who in ("refault", series.peer)
            }
            above = max(ends, key=lambda who: ends[who][1])
            for who, end in ends.items():
                _label(axis, who, end, "bottom" if who == above else "top")
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.grid(color="#dddddd", linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            axis.margins(x=0.18, y=0.12)
            if column == 0:
                axis.set_ylabel(unit)
        axes[0][column].set_title(series.title, fontsize=9.5)
        axes[1][column].set_xlabel(series.size)
    figure.tight_layout(pad=1.0, w_pad=1.4)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
    plt.close(figure)


def _done(data: dict[str, Any], name: str, who: str) -> list[dict[str, Any]]:
    points = data["points"]
    return [p for p in points if (p["series"], p["who"]) == (name, who) and not p["stopped"]]


def _line(axis: Any, done: list[dict[str, Any]], what: str, who: str) -> tuple[float, float]:
    """Draw a line; return where it ends."""
    sizes, values = [p["size"] for p in done], [p[what] for p in done]
    axis.plot(sizes, values, color=COLOURS[who], marker="o", markersize=3.5, linewidth=1.5)
    return (sizes[-1], values[-1]) if done else (0.0, 0.0)


def _label(axis: Any, who: str, end: tuple[float, float], side: str) -> None:
    if end[1]:
        up = 2 if side == "bottom" else -2
        axis.annotate(
            who,
            end,
            xytext=(4, up),
            textcoords="offset points",
            color=COLOURS[who],
            va=side,
        )
