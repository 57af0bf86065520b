"""The comparison with recorded kernels, as it is printed."""

from __future__ import annotations

import json

from refault.live.functions.compare import Compared, Line, Thread, compare_all
from refault.live.functions.execution import AS_TOLD
from refault.live.functions.recording import recorded
from refault.report.functions import (
    WIDTH,
    functions_differences,
    functions_json,
    functions_table,
)

FOUND = [
    Compared(
        "uffd-in-gup",
        "6.1",
        "6.1.192",
        AS_TOLD,
        (
            Thread(
                "faulter",
                (
                    Line("process_vm_rw", "process_vm_rw"),
                    Line("down_read", "down_read"),
                    Line("pin_user_pages_remote", "pin_user_pages_remote"),
                    Line("__get_user_pages", ""),
                    Line("", "handle_mm_fault"),
                    Line("up_read", "up_read", "__get_user_pages_locked"),
                ),
            ),
            Thread("monitor", (Line("userfaultfd_poll", "userfaultfd_poll"),)),
        ),
    ),
    Compared("uffd-in-gup", "6.12", "6.12.117", AS_TOLD, (), "the model goes on for ever"),
    Compared("uffd-wp", "6.12", "6.12.117", AS_TOLD, ()),
]

TABLE = """\
situation            6.1       6.12
uffd-wp                -          .
uffd-in-gup    differs 3    differs
agree             0 of 1     1 of 2

.        the same functions in the same order, each thread for itself
differs  they are not; a number says in how many places
-        not recorded on that kernel"""

DIFFERENCES = """\
uffd-in-gup on 6.1.192
  process_vm_readv(2) of a missing page
  faulter
    kernel                             model
    (1 the same)
    down_read                          down_read
    pin_user_pages_remote              pin_user_pages_remote
  * __get_user_pages
  *                                    handle_mm_fault
  * up_read                            not from __get_user_pages_locked

uffd-in-gup on 6.12.117
  process_vm_readv(2) of a missing page
  the model goes on for ever"""


def test_the_table() -> None:
    assert functions_table(FOUND) == TABLE
    assert functions_table([]).splitlines()[0] == "situation"


def test_what_differs_side_by_side() -> None:
    assert functions_differences(FOUND) == DIFFERENCES
    assert not functions_differences(FOUND[2:])


def test_as_json() -> None:
    said = json.loads(json.dumps(functions_json(FOUND)))
    assert [one["agrees"] for one in said] == [False, False, True]
    faulter = said[0]["threads"]["faulter"]
    assert faulter["calls"] == 6
    assert faulter["differences"][2] == {
        "at": 5,
        "kernel": "up_read",
        "model": "up_read",
        "not_from": "__get_user_pages_locked",
    }
    assert said[1]["ended"] == "the model goes on for ever"


def test_all_that_is_recorded_has_room() -> None:
    found = list(compare_all(recorded().values()))
    text = functions_table(found) + functions_differences(found)
    assert max(map(len, text.splitlines())) <= WIDTH
