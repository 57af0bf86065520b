"""Threads that do the same: a story that says so is searched for one order of them only."""

from __future__ import annotations

import pytest

from refault.explore import ModelError, Program, UserError, Verdict, check
from refault.linux import Kernel
from refault.patches import resolve


def loads(variant: str, said: bool, *, store: bool = False) -> Verdict:
    """Two threads load from a page that a monitor fills, and a third fills it too."""

    def build(program: Program) -> None:
        k = Kernel(program, resolve(variant))
        page, uffd = k.uffd_page()

        @k.thread
        def cpu0() -> None:
            page.load()

        @k.thread
        def cpu1() -> None:
            page.store(2) if store else page.load()

        k.monitor(uffd)
        if said:
            k.identical(cpu0, "cpu1")

    return check(build, engine="states", reduce="futures", keep_terminals=True, time=60)


@pytest.mark.parametrize("variant", ["", "without selftest_wake_on_eexist"])
def test_two_loads_of_a_page_may_change_places(variant: str) -> None:
    one, both = loads(variant, False), loads(variant, True)
    assert both.kinds == one.kinds
    assert both.terminals == one.terminals
    assert both.evidence.states < 0.6 * one.evidence.states
    assert "symmetry of cpu0 cpu1" in both.evidence.reduction


def test_a_load_and_a_store_may_not() -> None:
    with pytest.raises(ModelError, match=r"identical tasks: 'cpu.'"):
        loads("", True, store=True)


def test_who_is_no_thread() -> None:
    def build(program: Program) -> None:
        k = Kernel(program)
        k.thread(name="cpu0")(lambda: None)
        k.identical("cpu0", "cpu7")

    with pytest.raises(UserError, match="'cpu7' is no thread of the story"):
        check(build)
