"""Mmu notifiers: who is told of what, and when nobody is any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.linux.stories import does_nothing, found, told

from refault.explore import Cell, Program, View, atomic, check
from refault.linux import Kernel
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.linux.mmu_notifier import (
    IntervalSeq,
    MmuIntervalNotifier,
    MmuNotifier,
    MmuNotifierOps,
    MmuNotifierRange,
    SubscriptionsSeq,
    subscriptions_of,
)
from refault.linux.include.linux.page import folio_of
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock
from refault.linux.kernel.rcu.srcutree import srcu_invoke_callbacks
from refault.linux.lib.test_hmm import Dmirror, dmirror_fops_release, dmirror_read
from refault.linux.mm import mmu_interval as interval
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_put,
    mmu_notifier_register,
    mmu_notifier_unregister,
)
from refault.linux.process import AddressSpace
from refault.linux.user import Page


def _up(count: int) -> tuple[int, None]:
    return count + 1, None


def _down(count: int) -> tuple[int, None]:
    return count - 1, None


def _counting(k: Kernel, page: Page) -> tuple[Cell[int], Cell[int]]:
    """A notifier that counts what it is told; returns how often so far, and how much is open."""
    begun, open_ = k.program.cell("begun", 0), k.program.cell("open", 0)

    def start(range: MmuNotifierRange) -> int:
        begun.update(_up)
        open_.update(_up)
        return 0

    def end(range: MmuNotifierRange) -> None:
        open_.update(_down)

    ops = MmuNotifierOps(invalidate_range_start=start, invalidate_range_end=end)
    MmuNotifier(page.mm, "notifier", ops)
    return begun, open_


class Family(NamedTuple):
    """A page and what operations on it may need besides."""

    page: Page
    process: AddressSpace
    child: AddressSpace
    room: Page


WRITERS: dict[str, Callable[[Family], object]] = {
    "munmap": lambda f: f.page.munmap(),
    "mmap": lambda f: f.page.mmap_fixed(),
    "dontneed": lambda f: f.page.dontneed(),
    "guard": lambda f: f.page.guard(),
    "free": lambda f: f.page.madv_free(),
    "mprotect": lambda f: f.page.mprotect(Vm.READ),
    "numa": lambda f: f.page.numa_scan(),
    "migration": lambda f: f.page.migrate(),
    "reclaim": lambda f: f.page.reclaim(),
    "mremap": lambda f: f.page.mremap(f.room),
    "fork": lambda f: f.process.fork(f.child),
    "oom": lambda f: f.process.oom_reap(),
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_changes_before_somebody_is_told(name: str) -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")
        process.spare(2)
        room = process.room()
        family = Family(page, process, process.child(), room)
        begun, open_ = _counting(k, page)
        pte = page.mm.pte(page.address)
        before = pte.values[0]

        def only_when_told(view: View) -> bool:
            return bool(view[pte] == before or view[begun] > 0)

        k.program.invariant("told", only_when_told)

        @k.thread
        def writer() -> None:
            WRITERS[name](family)
            assert begun.read() > 0, "nobody was told"
            assert open_.read() == 0, "what was begun has not ended"

    assert found(story) == "holds"


def test_a_copy_by_a_write_fault_is_told_of() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="zero page")
        begun, open_ = _counting(k, page)

        @k.thread
        def writer() -> None:
            page.store(1)
            assert (begun.read(), open_.read()) == (1, 0)

    assert found(story) == "holds"


def test_without_a_notifier_nobody_asks_for_one() -> None:
    def asked(notified: bool) -> bool:
        kernels = []

        def build(program: Program) -> None:
            k = Kernel(program)
            kernels.append(k)
            page = k.mm().mmap(contents="page")
            if notified:
                MmuNotifier(page.mm, "notifier", MmuNotifierOps())
            k.thread(name="program")(page.dontneed)

        check(build)
        return any("notifier" in name for k in kernels for name in k.asked)

    assert asked(True)
    assert not asked(False)


def test_a_callback_of_the_reaper_must_not_wait() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")
        lock = Mutex(k.program, "driver")

        def start(range: MmuNotifierRange) -> int:
            mutex_lock(lock)
            mutex_unlock(lock)
            return 0

        MmuNotifier(page.mm, "notifier", MmuNotifierOps(invalidate_range_start=start))
        k.thread(name="reaper")(process.oom_reap)

    assert found(story) == "sleep in atomic"


def _leaving(k: Kernel) -> None:
    page = k.mm().mmap(contents="page")
    calls = MmuNotifierOps(invalidate_range_end=lambda range: None)
    notifier = MmuNotifier(page.mm, "notifier", calls)
    k.thread(name="program")(page.dontneed)

    @k.thread
    def driver() -> None:
        mmu_notifier_unregister(notifier)
        notifier.memory.free()


def test_after_unregister_nobody_calls() -> None:
    assert found(_leaving) == "holds"
    assert found(_leaving, {"synchronize_srcu": does_nothing}) == "use after free"


def test_put_frees_when_nobody_calls_any_more() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")

        def free() -> None:
            notifier.memory.free()

        ops = MmuNotifierOps(invalidate_range_end=lambda range: None, free_notifier=free)
        notifier = MmuNotifier(page.mm, "notifier", ops)
        k.thread(name="program")(page.dontneed)
        k.thread(name="driver")(lambda: mmu_notifier_put(notifier))
        srcu = subscriptions_of(page.mm).srcu
        k.thread(name="rcu", daemon=True)(lambda: srcu_invoke_callbacks(srcu))

    assert found(story) == "holds"


def test_a_notifier_is_told_from_its_registration_on() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")
        heard = k.program.cell("heard", False)
        ops = MmuNotifierOps(invalidate_range_end=lambda range: heard.write(True))
        notifier = MmuNotifier(page.mm, "notifier", ops, registered=False)

        @k.thread
        def driver() -> None:
            page.dontneed()
            assert not heard.read()
            mmu_notifier_register(notifier)
            page.dontneed()
            assert heard.read()

    assert found(story) == "holds"


def _interval(page: Page, then: Callable[[], object]) -> MmuIntervalNotifier:
    def invalidate(range: MmuNotifierRange) -> bool:
        interval.mmu_interval_set_seq(notifier)
        then()
        return True

    start = page.address
    notifier = MmuIntervalNotifier(page.mm, "interval", start, start + PAGE_SIZE, invalidate)
    return notifier


def test_an_interval_that_is_removed_in_its_own_callback_waits_for_itself() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")
        own = _interval(page, lambda: interval.mmu_interval_notifier_remove(own))
        k.thread(name="program")(page.dontneed)

    assert found(story) == "deadlock"
    assert "sleeps on subscriptions.wq" in told(story)


def test_an_interval_is_told_of_its_own_range_only() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page", pages=2)
        _interval(page, _unwanted)

        @k.thread
        def program() -> None:
            page[1].dontneed()

    def _unwanted() -> None:
        raise AssertionError("told of another page")

    assert found(story) == "holds"


def _inserted_late(k: Kernel) -> None:
    """An interval that may come while the page is on its way out, of a device with one entry."""
    page = k.mm().mmap(contents="page")
    lock, entry = Mutex(k.program, "device"), k.program.cell("gpu.pte", 0)

    def invalidate(range: MmuNotifierRange) -> bool:
        mutex_lock(lock)
        interval.mmu_interval_set_seq(notifier)
        entry.write(0)
        mutex_unlock(lock)
        return True

    start = page.address
    notifier = MmuIntervalNotifier(
        page.mm, "interval", start, start + PAGE_SIZE, invalidate, inserted=False
    )
    k.thread(name="program")(page.dontneed)

    @k.thread
    def driver() -> None:
        interval.mmu_interval_notifier_insert(notifier)
        interval.mmu_interval_read_begin(notifier)
        pte = page.mm.pte(page.address).read()
        mutex_lock(lock)
        if pte.present and not interval.mmu_interval_read_retry(notifier):
            entry.write(pte.pfn)
        mutex_unlock(lock)
        with atomic():
            pfn = entry.read()
            if pfn:
                folio_of(pfn)


def test_who_is_inserted_while_pages_go_waits_for_that_to_end() -> None:
    assert found(_inserted_late) == "holds"
    at_once = {"seq_has_changed": lambda subscriptions: True}
    assert found(_inserted_late, at_once) == "use after free"


def test_the_device_can_be_closed_at_any_time() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(contents="page")
        device = Dmirror(k, page.mm)
        k.thread(name="program")(page.dontneed)

        @k.thread
        def gpu() -> None:
            dmirror_read(device, page.address)
            dmirror_fops_release(device)

    assert found(story) == "holds"


EVENTS = st.lists(
    st.tuples(st.sampled_from(("start", "end", "look", "ask")), st.sampled_from("ab")), max_size=30
)


@given(EVENTS)
def test_who_has_seen_a_number_is_as_good_as_the_number(events: list[tuple[str, str]]) -> None:
    """The sequences as the kernel has them, with numbers, and as the model has them."""
    number, mine, seen, active = 2, 1, {}, 0
    whole, own = SubscriptionsSeq(), IntervalSeq()
    for event, task in events:
        if event == "start":
            active, number = active + 1, number | 1
            mine = number
            whole, own = interval._begin(whole)[0], interval._set(own)[0]
        elif event == "end" and active:
            active -= 1
            if not active:
                number += 1
                whole, own = interval._more(whole)[0], interval._past(own)[0]
        elif event == "look":
            seen[task] = mine
            own, invalidating = interval._look(own, task)
            assert invalidating == (mine == number)
        elif event == "ask" and task in seen:
            own, retry = interval._ask(own, task)
            assert retry == (seen.pop(task) != mine)
        assert whole.odd == bool(number & 1)
