"""What is shown of a long check, and what is left when it is stopped."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.toys import Run
from tests.report.golden import assert_golden

from refault.cli.progress import Progress, left, lines, number
from refault.explore.engines import states
from refault.explore.progress import Estimate, Figures

LONG = "resolved-before-enqueue-on-another-cpu without anon_exclusive"
EARLY = Figures(
    "searching",
    states=1_240_000,
    transitions=4_000_000,
    rate=3.1e6,
    depth=512,
    open=3021,
    memory=96 << 20,
    max_memory=11 << 30,
)
LATER = EARLY._replace(
    states=12_400_000,
    memory=310 << 20,
    estimate=Estimate((60e6, 140e6), (0.09, 0.2), (120, 360)),
    rival=True,
)
LAST = LATER._replace(
    states=130_000_000, estimate=Estimate((136e6, 139e6), (0.93, 0.96), (1.5, 3.2)), rival=False
)
TRACES = EARLY._replace(units="traces", depth=48, open=0)
PHASE = Figures("looking for livelocks")


def test_the_lines_fit_eighty_columns() -> None:
    shown = [
        line
        for title in ("two-readers", LONG)
        for figures in (EARLY, LATER, LAST, TRACES, PHASE)
        for line in lines(title, figures)
    ]
    assert max(map(len, shown)) <= 80
    assert_golden("progress", "\n".join(shown))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_asked_for(width: int) -> None:
    for figures in (EARLY, LATER, LAST, TRACES, PHASE):
        assert all(len(line) <= width for line in lines(LONG, figures, width))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((0, 0.04), "0 s left"),
        ((0.3, 1.5), "0.3-1.5 s left"),
        ((40, 100), "40-100 s left"),
        ((30, 200), "0.5-3 min left"),
        ((1000, 20_000), "0.3-6 h left"),
        ((9, float("inf")), "no end in sight"),
    ],
)
def test_time_left_is_told_in_one_unit(seconds: tuple[float, float], text: str) -> None:
    assert left(*seconds) == text


def test_numbers_have_three_digits() -> None:
    values = (0, 999, 999.6, 12_345, 999_499, 999_999, 1.5e9)
    assert [*map(number, values)] == ["0", "999", "1k", "12.3k", "999k", "1M", "1.5G"]


def test_where_nothing_can_move_it_is_told_every_ten_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    progress = Progress(now=lambda: now[0])
    for check in ("first", "second"):
        progress.begin(check)
        for _ in range(25):
            now[0] += 1.0
            progress.update(PHASE)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        f"{check}: looking for livelocks" for check in ("first", "first", "second", "second")
    ]


def test_a_short_check_says_nothing(refault: Run) -> None:
    assert refault("check", "abba", "--plain").stderr == ""


def test_what_goes_on_is_said_word_for_word(refault: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that is printed goes on, and meets the bound that it raised."""
    monkeypatch.setattr(states, "WORTH", 0.0)
    stopped = refault("check", "many", "--max-states", "50", "--time", "9", "--keep", "my files")
    assert stopped.exit_code == 3
    command = stopped.stderr.strip().removeprefix("refault: go on with: ")
    assert command == ("refault check many --time 9 --max-states 100 --keep 'my files' --resume")
    again = refault(*shlex.split(command)[1:])
    assert again.exit_code == 3
    assert "100 states stored" in again.stdout
    assert "--max-states 200 --keep 'my files' --resume" in again.stderr


def test_what_has_no_checkpoint_cannot_go_on(refault: Run) -> None:
    assert refault("check", "many", "--max-states", "50").stderr == ""


MAIN = "from refault.cli import main; main()"
STORY = '''
"""Too many readers for any patience."""

def crowd(k):
    """Everybody faults on one page."""
    print("begun", flush=True)
    page, _uffd = k.uffd_page()
    for n in range(9):
        k.thread(lambda: page.load(), name=f"reader{n}")

def quick(k):
    """One thread, one access."""
    page, _uffd = k.uffd_page()
    k.thread(lambda: page.dontneed(), name="one")
'''


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(tmp_path: Path, signal_number: int) -> None:
    """What was done is printed, the rest is counted, and the exit code is that of a limit."""
    (tmp_path / "story.py").write_text(STORY)
    run = subprocess.Popen(
        [sys.executable, "-c", MAIN, "check", "story.py::quick", "story.py::crowd"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    told = [run.stdout.readline() for _ in range(3)]
    run.send_signal(signal_number)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 3, err
    assert told[1].endswith("  quick\n")
    assert "interrupted" in out
    assert err == "refault: interrupted, 1 of 2 checks done\n"
