"""Why some writers cannot meet the lockless look: take their lock away, and they do."""

from __future__ import annotations

from tests.linux.stories import does_nothing, found, run, told

from refault.patches import resolve
from refault.scenarios.uffd_wake_writers import writer_khugepaged, writer_mprotect

IGNORES = dict(resolve("without selftest_wake_on_eexist"))


def test_mprotect_is_kept_out_by_the_lock_of_the_vma() -> None:
    assert found(writer_mprotect.story, IGNORES) == "holds"
    assert found(writer_mprotect.story, IGNORES | {"vma_start_write": does_nothing}) == (
        "lost wakeup"
    )


def test_mprotect_was_kept_out_by_mmap_lock_before() -> None:
    before = dict(resolve("without per_vma_lock, without selftest_wake_on_eexist"))
    assert found(writer_mprotect.story, before) == "holds"
    unlocked = {"mmap_write_lock": does_nothing, "mmap_write_unlock": does_nothing}
    assert found(writer_mprotect.story, before | unlocked) == "lost wakeup"


def test_khugepaged_is_kept_out_by_the_lock_of_the_vma() -> None:
    assert found(writer_khugepaged.story, IGNORES) == "holds"
    verdict = run(writer_khugepaged.story, IGNORES | {"vma_start_write": does_nothing})
    assert {finding.kind for finding, _ in verdict.findings} >= {"BUG", "lost wakeup"}


def test_a_lost_wakeup_is_diagnosed_in_the_kernels_terms() -> None:
    from refault.scenarios.uffd_wake_drawing import zeropage_then_store  # noqa: PLC0415

    text = told(zeropage_then_store.story)
    for words in (
        "lost wakeup",
        "cpu0 sleeps in handle_userfault(), TASK_INTERRUPTIBLE, on fault_pending_wqh",
        "for a missing page at 0x1000",
        "the page is there: its PTE is present pfn",
        "its message is still unread",
        "cpu1 has returned",
    ):
        assert words in text
