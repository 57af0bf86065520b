"""The mail diagram, rule by rule, and whole drawings compared to the letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report.golden import assert_golden
from tests.report.traces import DRAWING, random_traces, trace

from refault.explore.trace import Finding, Trace
from refault.report import diagram


def body(script: str, **options: int) -> list[str]:
    """Return the lines of a drawing below the dashes."""
    return diagram(trace(script), **options).splitlines()[2:]  # type: ignore[arg-type]


def test_the_drawing_of_the_mail_is_recognised_at_once() -> None:
    assert_golden("uffd-wake", diagram(DRAWING))


def test_it_can_be_pasted_into_a_c_comment() -> None:
    assert_golden("uffd-wake-comment", diagram(DRAWING, prefix=" * ", width=64))


def test_it_can_be_quoted_in_a_mail_with_narrow_columns() -> None:
    assert_golden("uffd-wake-quoted", diagram(DRAWING, prefix="> ", width=50))


def test_columns_are_headed_by_cpu_and_task_over_dashes() -> None:
    head = diagram(trace("worker . write pte 0 -> 1\n cpu1 . write pte 1 -> 2")).splitlines()[:2]
    assert head == ["cpu0: worker    cpu1", "------------    ----"]


def test_a_blank_line_where_the_running_task_changes() -> None:
    script = "a . write x 0 -> 1\n a . write y 0 -> 1\n b . write x 1 -> 2\n a . write x 2 -> 3"
    assert body(script) == ["x = 1", "y = 1", "", f"{'x = 2':>21}", "", "x = 3"]


def test_call_depth_is_one_blank_and_notes_stand_in_brackets() -> None:
    script = """
        a + change_pte_range
        a + ptep_modify_prot_start
        a . write pte present -> none
        a # PTE is clear
    """
    assert body(script) == ["change_pte_range()", " ptep_modify_prot_start()", "  [PTE is clear]"]


def test_names_that_carry_arguments_and_ioctls_get_no_parentheses() -> None:
    script = """
        a + UFFDIO_COPY
        a + spin_lock(ptl)
        a . lock ptl free -> a
        a # taken
    """
    assert body(script) == ["UFFDIO_COPY", " spin_lock(ptl)", "  [taken]"]


def test_quiet_functions_have_no_line_and_what_they_call_moves_out() -> None:
    script = """
        a + ~asm_exc_page_fault
        a + handle_mm_fault
        a . read pte none
        a # nothing there
        a - handle_mm_fault
        a . write quiet 0 -> 1
        a - ~asm_exc_page_fault
    """
    assert body(script) == ["handle_mm_fault()", " [nothing there]"]


def test_a_function_that_nobody_disturbed_and_that_noted_nothing_is_one_line() -> None:
    script = """
        a + mfill_atomic_install_pte
        a + set_pte
        a . write pte none -> present
        a - set_pte
        a - mfill_atomic_install_pte
    """
    assert body(script) == ["mfill_atomic_install_pte()"]


def test_a_function_that_somebody_disturbed_shows_where() -> None:
    script = """
        a + wp_page_copy
        a + ptep_clear_flush
        a . write pte present -> none
        a - ptep_clear_flush
        b . read pte none
        a + set_pte
        a . write pte none -> present
        a - set_pte
        a - wp_page_copy
    """
    drawn = [
        "wp_page_copy()",
        " ptep_clear_flush()",
        "",
        f"{'read pte: none':>38}",
        "",
        " set_pte()",
    ]
    assert body(script) == drawn


def test_functions_without_a_step_are_plumbing() -> None:
    script = """
        a + vm_fault_init
        a + pte_index
        a - pte_index
        a - vm_fault_init
        a . write pte none -> present
    """
    assert body(script) == ["pte = present"]


def test_nested_calls_that_only_call_the_next_are_cut_short() -> None:
    script = """
        a + write to page 0
        a + handle_mm_fault
        a + __handle_mm_fault
        a + handle_pte_fault
        a + do_wp_page
        a + wp_page_copy
        a . write pte present -> none
        a # PTE is clear
    """
    drawn = ["write to page 0", " ...", " do_wp_page()", "  wp_page_copy()", "   [PTE is clear]"]
    assert body(script) == drawn


def test_what_a_cut_call_does_later_keeps_its_place() -> None:
    script = """
        a + write to page 0
        a + __handle_mm_fault
        a + handle_pte_fault
        a + do_anonymous_page
        a + pte_offset_map_lock
        a . lock ptl free -> a
        a # nothing there
        a - pte_offset_map_lock
        a - do_anonymous_page
        b . write x 0 -> 1
        a + handle_userfault
        a . read released 0
        a - handle_userfault
        a - handle_pte_fault
        a + count_vm_event
        a . read events 0
    """
    drawn = ["write to page 0", " ...", " do_anonymous_page()", "  pte_offset_map_lock()"]
    drawn += ["   [nothing there]", "", f"{'x = 1':>37}", "", " handle_userfault()"]
    assert body(script) == [*drawn, " count_vm_event()"]


def test_an_operation_shows_only_if_nothing_else_tells_of_it() -> None:
    script = """
        a + handle_userfault
        a . write told-by-the-function 0 -> 1
        b . write x 0 -> 1
        a . read nothing-changed 0
        a . list_add wqh () -> (a)
        a . write told-by-the-note 0 -> 1
        a # state is set
    """
    drawn = body(script)
    assert drawn == [
        "handle_userfault()",
        "",
        f"{'x = 1':>29}",
        "",
        " list_add(wqh)",
        " [state is set]",
    ]


def test_a_context_switch_always_has_a_reason_to_be_seen() -> None:
    script = """
        a + userfaultfd_must_wait
        a . read pmd present
        b . write x 0 -> 1
        a . read pte none
        a - userfaultfd_must_wait
    """
    assert body(script)[-1] == " read pte: none"


def test_a_task_that_takes_no_step_has_no_column() -> None:
    idle = trace("a . write x 0 -> 1\n b . write x 1 -> 2", tasks=("a", "idle", "b"))
    assert "idle" not in diagram(idle)
    assert "cpu1: b" in diagram(idle)


def test_a_function_that_a_task_is_stuck_in_stands_where_it_entered_it() -> None:
    stuck = trace("a . up_read mmap_lock 1 -> 0\n b . write pte none -> present\n a + schedule")
    drawn = ["up_read(mmap_lock)", "schedule()", "", f"{'pte = present':>37}"]
    assert diagram(stuck).splitlines()[2:] == drawn


def test_a_step_that_failed_shows_what_it_did_wrong() -> None:
    found = trace(
        "a . kfree ctx live -> freed\n b + userfaultfd_ctx_get",
        Finding("use after free", "ctx was freed by a"),
        failed="b",
    )
    drawn = ["kfree(ctx)", "", f"{'userfaultfd_ctx_get()':>37}", f"{'[use after free]':>33}"]
    assert diagram(found).splitlines()[2:] == drawn


def test_text_that_does_not_fit_goes_on_below_in_its_column() -> None:
    script = """
        a + UFFDIO_WRITEPROTECT (unprotect)
        a . write pte 0 -> 1
        a # the PTE is none for as long as the flush takes
        b + userfaultfd_wake_function_of_the_other_context
        b . read pte 1
    """
    assert_golden("wrapped", diagram(trace(script), width=44))


def test_five_tasks_of_short_words_still_have_columns() -> None:
    script = "\n".join(f"p{n} . take fork{n} free -> p{n}" for n in range(5))
    assert_golden("five-columns", diagram(trace(script)))


def test_five_tasks_of_long_words_make_a_list() -> None:
    script = "\n".join(
        f"p{n} + mutex_lock_killable(fork{n})\np{n} . take fork{n} free -> p{n}\np{n} # it was free"
        for n in range(5)
    )
    assert_golden("list", diagram(trace(f"{script}\n p0 + wait_for_completion")))


def test_mail_is_ascii() -> None:
    said = diagram(trace("a . write x 0 -> 1\n a # pte \N{RIGHTWARDS ARROW} none \N{BLACK STAR}"))
    assert said.splitlines()[-1] == "[pte -> none ?]"


def test_nothing_to_draw_is_no_error() -> None:
    assert diagram(trace("")) == ""


@given(random_traces(), st.integers(40, 100), st.sampled_from(["", " * ", "> > "]))
def test_any_trace_fits(found: Trace, width: int, prefix: str) -> None:
    lines = diagram(found, width=width, prefix=prefix).splitlines()
    assert all(len(line) <= width for line in lines)
    assert all(line == line.rstrip() and line.isascii() for line in lines)
    assert all(line.startswith(prefix.rstrip()) for line in lines)


@pytest.mark.parametrize("width", [40, 50, 76, 120])
def test_where_a_row_begins_tells_whose_it_is(width: int) -> None:
    rows = diagram(DRAWING, width=width).splitlines()
    edge = rows[0].index("cpu1")
    begins = {row.split("(")[0].strip(): len(row) - len(row.lstrip()) for row in rows[2:]}
    assert begins["handle_userfault"] < edge / 2
    assert begins["wake_userfault"] == begins["change_pte_range"] == edge + 1


def test_a_long_name_runs_into_empty_columns_before_it_is_broken() -> None:
    script = """
        a + userfaultfd_must_wait(vmf, reason)
        a . read pte none
        b + do_wp_page
        b . write pte present -> none
        c + task_numa_work(the whole address space)
        c . write pte none -> present
    """
    drawn = diagram(trace(script), width=70).splitlines()
    assert "userfaultfd_must_wait(vmf, reason)" in drawn
    assert drawn[0].index("cpu1") < len("userfaultfd_must_wait(vmf, reason)")
