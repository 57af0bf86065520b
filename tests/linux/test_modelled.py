"""The registry of kernel functions, and the paths that the model does not have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.linux.stories import run

from refault.explore import UserError
from refault.linux import Kernel, NotModelled, modelled_function, modelled_functions
from refault.linux.modelled import kernel_function
from refault.scenarios import all_scenarios


def test_each_function_names_a_file_of_the_kernel_tree() -> None:
    tops = (
        "arch",
        "drivers",
        "fs",
        "include",
        "kernel",
        "lib",
        "mm",
        "net",
        "sound",
        "tools",
        "virt",
    )
    names = [function.name for function in modelled_functions()]
    assert len(names) > 100
    for function in modelled_functions():
        assert function.file.partition("/")[0] in tops
        assert re.fullmatch(r"[\w/.-]+(\.[chS]|Kconfig)", function.file)
        assert function.function.__doc__


def test_a_function_is_modelled_once() -> None:
    with pytest.raises(ValueError, match="schedule is modelled twice"):
        kernel_function("kernel/sched/core.c")(_named("schedule"))


def _named(name: str) -> Callable[[], None]:
    def function() -> None:
        """Do nothing."""

    function.__name__ = name
    return function


def test_functions_are_found_by_their_kernel_name() -> None:
    found = modelled_function("handle_userfault")
    assert found is not None
    assert found.file == "fs/userfaultfd.c"
    assert modelled_function("handle_userfaults") is None


def test_a_path_that_is_left_out_ends_the_search_with_its_name() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        pages = [process.mmap(contents="page") for _ in range(3)]

        @k.thread
        def program() -> None:
            for page in pages:
                page.reclaim()

    with pytest.raises(NotModelled, match="reclaim with swap space full"):
        run(story)


def test_memory_is_not_endless() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        pages = [process.mmap() for _ in range(4)]

        @k.thread
        def program() -> None:
            for page in pages:
                page.store(1)

    with pytest.raises(NotModelled, match="an allocation that fails"):
        run(story)


def test_each_scenario_can_be_listed() -> None:
    assert {"wake-after-copy-failure", "always-notified"} <= {s.id for s in all_scenarios()}


async def _coroutine() -> None:
    pass


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([_coroutine], "a coroutine: calling it would run nothing"),
        ([_generator], "is a generator"),
        ([lambda x: x], "takes no arguments"),
        ([lambda: None, lambda: None], "two threads are called <lambda>"),
    ],
)
def test_what_cannot_be_a_thread_is_refused(functions: list[Any], message: str) -> None:
    def story(k: Kernel) -> None:
        for function in functions:
            k.thread(function)

    with pytest.raises(UserError, match=message):
        run(story)
