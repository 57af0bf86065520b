"""What goes into ``handle_mm_fault()`` and what may come out of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.linux.stories import found, run

from refault.linux import Kernel
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import (
    ERRORS,
    FaultFlag,
    Vm,
    VmFault,
    fault_flag_allow_retry_first,
    illegal_flags,
    illegal_result,
    is_cow_mapping,
    keeps_fault_lock,
)
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock, release_fault_lock

BITS: list[FaultFlag] = [
    flag for flag in FaultFlag if flag not in (FaultFlag.NONE, FaultFlag.DEFAULT)
]
RESULTS: list[VmFault] = [bit for bit in VmFault if bit not in (VmFault.NONE, VmFault.ERROR)]


def union(bits: list[VmFault]) -> VmFault:
    """All the bits in one."""
    result = VmFault.NONE
    for bit in bits:
        result |= bit
    return result


def test_the_errors_are_those_of_the_mask() -> None:
    assert int(union(list(ERRORS))) == int(VmFault.ERROR)


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        (FaultFlag.DEFAULT | FaultFlag.USER | FaultFlag.WRITE, ""),
        (FaultFlag.DEFAULT | FaultFlag.TRIED, ""),
        (FaultFlag.NONE, ""),
        (FaultFlag.WRITE | FaultFlag.UNSHARE, "WRITE and UNSHARE"),
        (FaultFlag.DEFAULT | FaultFlag.VMA_LOCK | FaultFlag.RETRY_NOWAIT, "VMA_LOCK and"),
        (FaultFlag.RETRY_NOWAIT, "RETRY_NOWAIT without ALLOW_RETRY"),
        (FaultFlag.TRIED, "TRIED without ALLOW_RETRY"),
    ],
)
def test_which_flags_go_together(flags: FaultFlag, wrong: str) -> None:
    assert illegal_flags(flags).startswith(wrong)
    assert bool(illegal_flags(flags)) == bool(wrong)


@given(st.lists(st.sampled_from(RESULTS)))
def test_a_legal_result_tells_one_thing(bits: list[VmFault]) -> None:
    """Never an error and a retry at once, and the lock is kept by exactly one reading of it."""
    fault = union(bits)
    if illegal_result(fault):
        return
    said = [fault & VmFault.RETRY, fault & VmFault.COMPLETED, fault & VmFault.ERROR]
    assert sum(map(bool, said)) <= 1
    assert sum(bool(fault & bit) for bit in ERRORS) <= 1
    dropped = bool(fault & (VmFault.RETRY | VmFault.COMPLETED))
    assert keeps_fault_lock(FaultFlag.DEFAULT, fault) != dropped


@given(st.lists(st.sampled_from(BITS)))
def test_the_first_attempt_is_one_that_was_not_tried(bits: list[FaultFlag]) -> None:
    flags = FaultFlag.NONE
    for bit in bits:
        flags |= bit
    first = fault_flag_allow_retry_first(flags)
    assert first == (FaultFlag.ALLOW_RETRY in flags and FaultFlag.TRIED not in flags)


def test_which_mappings_copy_on_write() -> None:
    assert is_cow_mapping(Vm.READ | Vm.MAYWRITE)
    assert not is_cow_mapping(Vm.READ | Vm.MAYWRITE | Vm.SHARED)
    assert not is_cow_mapping(Vm.READ)


def faults_with(flags: FaultFlag, prot: Vm = Vm.READ | Vm.WRITE) -> Callable[[Kernel], None]:
    """A story in which somebody faults with flags of his own."""

    def story(k: Kernel) -> None:
        page = k.mm().mmap(prot, file=k.file(), shared=True)

        @k.thread
        def caller() -> None:
            mmap_read_lock(page.mm)
            handle_mm_fault(page.vma, page.address, flags)
            mmap_read_unlock(page.mm)

    return story


def test_insane_flags_are_warned_of() -> None:
    assert found(faults_with(FaultFlag.WRITE)) == "holds"
    assert found(faults_with(FaultFlag.WRITE | FaultFlag.UNSHARE)) == "WARN"
    assert found(faults_with(FaultFlag.WRITE, Vm.READ)) == "WARN"


def test_there_is_nothing_to_unshare_in_a_shared_mapping() -> None:
    assert found(faults_with(FaultFlag.UNSHARE)) == "holds"


ANSWERS = {
    "keeps its promise": (VmFault.SIGBUS, False, "SIGBUS"),
    "drops the lock for nothing": (VmFault.SIGBUS, True, "fault contract"),
    "keeps the lock in a retry": (VmFault.RETRY, False, "fault contract"),
    "retries and fails": (VmFault.RETRY | VmFault.SIGBUS, True, "fault contract"),
    "fails twice": (VmFault.OOM | VmFault.SIGBUS, False, "fault contract"),
    "falls back to nothing": (VmFault.FALLBACK, False, "fault contract"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_handler_is_held_to_what_it_answers(answer: str) -> None:
    fault, drops, verdict = ANSWERS[answer]

    def handler(vmf: VmFaultInfo) -> Found:
        if drops:
            release_fault_lock(vmf)
        return Found(fault)

    def story(k: Kernel) -> None:
        device = k.file(vm_ops=VmOperations(fault=handler, name="device"))
        page = k.mm().mmap(file=device, shared=True)
        k.thread(name="program")(page.load)

    assert found(story) == verdict


def test_a_handler_without_map_pages_runs_under_mmap_lock_only() -> None:
    seen: list[bool] = []

    def handler(vmf: VmFaultInfo) -> VmFault:
        seen.append(bool(vmf.flags & FaultFlag.VMA_LOCK))
        return VmFault.SIGBUS

    def story(k: Kernel) -> None:
        page = k.mm().mmap(file=k.file(vm_ops=VmOperations(fault=handler)), shared=True)
        k.thread(name="program")(page.load)

    assert found(story) == "SIGBUS"
    assert set(seen) == {False}


def test_each_fault_that_is_done_is_counted_once() -> None:
    def story(k: Kernel) -> None:
        k.count_faults()
        process = k.mm()
        there, read = process.mmap(), process.mmap(file=k.file(cached=False), shared=True)

        @k.thread
        def program() -> None:
            there.store(1)
            read.load()
            counters = k.fault_counters["program"]
            assert counters.min_flt.read() == 1
            assert counters.maj_flt.read() == 1

    assert found(story) == "holds"


def test_a_fault_that_finds_no_memory_says_so() -> None:
    def story(k: Kernel) -> None:
        k.let_memory_run_out()
        page = k.mm().mmap()
        k.thread(name="program")(lambda: page.store(1))

    verdict = run(story)
    assert {finding.kind for finding, _ in verdict.findings} == {"out of memory"}
