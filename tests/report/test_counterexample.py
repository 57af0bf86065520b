"""Counterexample files: written whole, read back the same, and refused with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from tests.report.traces import DRAWING, LOST

from refault.explore.errors import UserError
from refault.explore.verdict import Evidence
from refault.report import Counterexample, load
from refault.report.counterexample import file_digest, slug

EVIDENCE = Evidence(
    engine="states",
    states=120,
    transitions=340,
    terminals=5,
    traces=0,
    seconds=0.01,
    depth=45,
    reduction="lock discipline",
    collision=4e-16,
    bounds=(),
    local_states=30,
    table_misses=60,
    restarts=1,
)


def example(variant: str = "") -> Counterexample:
    return Counterexample(
        scenario="resolved-before-enqueue",
        variant=variant,
        expected="lost wakeup",
        finding=LOST,
        trace=DRAWING,
        evidence=EVIDENCE,
    )


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = example().save(tmp_path / "kept")
    assert path == tmp_path / "kept" / "resolved-before-enqueue.json"
    assert load(path) == example()


def test_the_folder_keeps_itself_out_of_git_and_leaves_no_half_files(tmp_path: Path) -> None:
    example().save(tmp_path)
    example("with must_wait_ptl").save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".gitignore",
        "resolved-before-enqueue.json",
        "resolved-before-enqueue@with-must_wait_ptl.json",
    ]


def test_the_findings_of_one_check_do_not_overwrite_each_other(tmp_path: Path) -> None:
    names = [example().save(tmp_path, number).name for number in range(2)]
    assert names == ["resolved-before-enqueue.json", "resolved-before-enqueue.2.json"]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = example().save(tmp_path)
    before = path.read_bytes()

    def no_space(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        example().save(tmp_path)
    assert path.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", path.name]


def test_it_is_plain_json_with_an_event_a_line(tmp_path: Path) -> None:
    text = example().save(tmp_path).read_text()
    assert msgspec.json.decode(text)["scenario"] == "resolved-before-enqueue"
    assert max(map(len, text.splitlines())) < 900, "mail servers break longer lines"
    assert text.count("\n") > len(DRAWING.events)


def saved(tmp_path: Path) -> str:
    return example().save(tmp_path).read_text()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    text = saved(tmp_path)
    assert_refused(tmp_path, text[: int(len(text) * share)], "cut short or damaged")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        ("hello", "not a JSON file"),
        ("\x7fELF\x00\x01", "not a JSON file"),
        ('{"herd": "litmus"}', "not a counterexample of refault"),
        ("[1, 2]", "not a counterexample of refault"),
        ('{"tool": "tlc", "format": 1, "version": "2"}', "written by 'tlc', not by refault"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, text: str, why: str) -> None:
    assert_refused(tmp_path, text, why)


def test_a_file_of_another_version_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    text = saved(tmp_path)
    older = text.replace('"version": "', '"version": "0.0.')
    assert "install refault==0.0." in assert_refused(tmp_path, older, "written by refault 0.0.")
    newer = text.replace('"format": 1', '"format": 2')
    assert_refused(tmp_path, newer, r"\(format 2\), this is refault .* \(format 1\)")


def test_a_file_whose_fields_were_edited_is_refused(tmp_path: Path) -> None:
    text = saved(tmp_path).replace('"switches": 5', '"switches": "few"')
    assert_refused(tmp_path, text, r"damaged counterexample: Expected `int`, got `str`")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load(tmp_path / "absent.json")
    with pytest.raises(UserError, match="Is a directory"):
        load(tmp_path)


def assert_refused(tmp_path: Path, text: str, why: str) -> str:
    """Check the message and return the remedy."""
    path = tmp_path / "mailed.json"
    path.write_text(text)
    with pytest.raises(UserError, match=why) as refusal:
        load(path)
    assert refusal.value.message.startswith(f"{path}: ")
    return refusal.value.remedy


def test_files_are_named_after_scenario_and_variant() -> None:
    assert slug("eexist", "") == "eexist"
    assert slug("eexist", "without a, with b") == "eexist@without-a,with-b"


def test_names_that_had_to_be_changed_stay_distinct() -> None:
    assert slug("a/b", "") != slug("a:b", "") != slug("a-b", "")


def test_no_name_leaves_the_folder() -> None:
    for name in ("../../etc/passwd", "/etc/passwd", ".", "", "a\nb", "é" * 300):
        assert "/" not in slug(name, "")
        assert not slug(name, "").startswith(".")
        assert len(slug(name, "").encode()) < 200


def test_a_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert file_digest(tmp_path / "empty").startswith("e3b0c44298fc1c14")
