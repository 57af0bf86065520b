"""The fault entries of the architectures: what is known of them, and what holds of all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.linux.stories import found

from refault.linux import Kernel, modelled_function
from refault.linux.arch import ARCHITECTURES
from refault.linux.arch.cells import (
    ERRORS,
    Bench,
    Case,
    Missing,
    Mode,
    Pending,
    all_results,
    mixes,
)
from refault.linux.arch.masks import ACCESS, AnyOf
from refault.linux.arch.mmu import copy_from_user_nofault
from refault.linux.arch.ptrace import KERNEL, UACCESS, USER, Access, Kind
from refault.linux.arch.table import entries, entry
from refault.linux.arch.x86.include.asm.trap_pf import X86PfErrorCode as Pf
from refault.linux.arch.x86.include.asm.trap_pf import error_code
from refault.linux.arch.x86.mm.fault import allowed
from refault.linux.include.linux.mm_types import Vm, VmFault
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.include.uapi.signal import SIGSEGV
from refault.patches import resolve

RESULTS = all_results()
EVERY = pytest.mark.parametrize("arch", ARCHITECTURES)


def text(case: Case) -> str:
    """What comes of a case, in words."""
    return str(RESULTS[case])


@pytest.mark.parametrize(
    ("arch", "result"),
    [
        ("x86", "SIGBUS BUS_MCEERR_AR, lsb 12"),
        ("powerpc", "SIGBUS BUS_MCEERR_AR, lsb 12"),
        ("arm", "SIGSEGV SEGV_MAPERR"),
        ("riscv", "SIGBUS BUS_ADRERR"),
        ("hexagon", "SIGSEGV SEGV_ACCERR"),
        ("mips", "BUG"),
    ],
)
def test_poison_is_told_by_those_who_know_of_it(arch: str, result: str) -> None:
    assert text(Case(arch, VmFault.HWPOISON)) == result


def test_the_size_of_a_poisoned_huge_page_is_told() -> None:
    huge = VmFault.HWPOISON_LARGE
    assert text(Case("x86", huge)).endswith("lsb 21")
    assert text(Case("x86", huge | VmFault(0x10000))).endswith("lsb 30")


def test_loongarch_has_two_codes_for_one_error() -> None:
    case = Case("loongarch", VmFault.SIGSEGV)
    assert text(case._replace(vma_lock=True)) == "SIGSEGV SEGV_MAPERR"
    assert text(case) == "SIGSEGV SEGV_ACCERR"


def test_sparc32_sends_two_signals() -> None:
    assert RESULTS[Case("sparc32", VmFault.SIGBUS)].effects == (
        "SIGBUS BUS_ADRERR",
        "SIGSEGV SEGV_ACCERR",
    )


def test_arc_lets_the_instruction_fault_again_when_the_vma_went() -> None:
    assert text(Case("arc", Missing.GONE)) == "resume"
    assert text(Case("m68k", Missing.GONE)) == "SIGSEGV SEGV_MAPERR"
    assert text(Case("mips", Missing.GONE)) == "SIGSEGV SEGV_ACCERR"


@EVERY
def test_a_fault_that_is_resolved_is_over(arch: str) -> None:
    for event in (VmFault.NONE, VmFault.NOPAGE, VmFault.MAJOR, VmFault.COMPLETED):
        for pending in Pending:
            assert text(Case(arch, event, pending=pending)) == "resume"
    assert RESULTS[Case(arch, VmFault.RETRY)].calls == 2


@EVERY
def test_a_killed_task_leaves_the_kernel(arch: str) -> None:
    result = RESULTS[Case(arch, VmFault.RETRY, Mode.UACCESS, Pending.KILL)]
    assert (result.end, result.calls) == ("fixup", 1)


@EVERY
def test_an_error_of_a_user_access_is_a_fixup(arch: str) -> None:
    for event in (VmFault.OOM, Missing.NO_VMA, Missing.DENIED):
        assert RESULTS[Case(arch, event, Mode.UACCESS)].end == "fixup"


@EVERY
def test_a_fault_that_the_kernel_did_not_expect_is_an_oops(arch: str) -> None:
    for event in (VmFault.OOM, Missing.NO_VMA, Missing.DENIED):
        assert RESULTS[Case(arch, event, Mode.KERNEL)].end in ("oops", "panic")


def test_no_case_goes_round_or_waits_for_ever_and_only_sh_unlocks_twice() -> None:
    assert not [c for c, r in RESULTS.items() if r.end in ("livelock", "deadlock") or r.held]
    assert {c.arch for c, r in RESULTS.items() if not r.balanced} == {"sh"}


def test_who_looks_for_errors_first_unlocks_twice_for_a_retry_with_an_error() -> None:
    first = {arch for arch, e in entries().items() if e.order != "SCRUE"}
    bad = {c.arch for c, r in all_results(events=mixes()).items() if not r.balanced}
    assert bad == first


@given(st.lists(st.sampled_from(ERRORS), min_size=1, unique=True), st.sampled_from(Mode))
def test_x86_loses_no_lock_whatever_comes_back(errors: list[VmFault], mode: Mode) -> None:
    fault = VmFault.RETRY | VmFault.COMPLETED
    for bit in errors:
        fault |= bit
        assert X86.run(Case("x86", fault, mode)).balanced


X86 = Bench("x86")


@given(st.integers(0, 7), st.sampled_from(Kind), st.sampled_from(ARCHITECTURES))
def test_more_rights_never_forbid_an_access(bits: int, kind: Kind, arch: str) -> None:
    mask, access = entry(arch).mask, Access(0, kind)
    if mask(Vm(bits), access):
        assert all(mask(Vm(bits) | more, access) for more in (Vm.READ, Vm.WRITE, Vm.EXEC))


def test_nothing_is_allowed_where_nothing_may_be_done() -> None:
    for e in entries().values():
        assert not any(e.mask(Vm.NONE, Access(0, kind)) for kind in Kind)
        assert all(e.mask(ACCESS, Access(0, kind)) for kind in Kind)


def test_a_mask_is_written_as_flags() -> None:
    assert repr(AnyOf(Vm.READ | Vm.WRITE, Vm.WRITE, Vm.NONE)) == "r|w w -"


@pytest.mark.parametrize(
    ("access", "flags", "answer"),
    [
        (Access(0, Kind.READ), Vm.WRITE, True),
        (Access(0, Kind.READ, present=True), Vm.READ, False),
        (Access(0, Kind.WRITE, pkey=True), ACCESS, False),
        (Access(0, Kind.READ, sgx=True), ACCESS, False),
        (Access(0, Kind.WRITE), Vm.WRITE | Vm.SHADOW_STACK, False),
        (Access(0, Kind.READ, shadow_stack=True), Vm.WRITE | Vm.SHADOW_STACK, True),
        (Access(0, Kind.READ, shadow_stack=True), ACCESS, False),
    ],
)
def test_what_x86_allows(access: Access, flags: Vm, answer: bool) -> None:
    assert allowed(flags, access) is answer


def test_the_error_code_of_x86_says_what_happened() -> None:
    assert error_code(Access(0, Kind.WRITE, present=True), USER) == Pf.WRITE | Pf.PROT | Pf.USER
    assert error_code(Access(0, Kind.EXEC), UACCESS) == Pf.INSTR
    assert error_code(Access(0, reserved=True), KERNEL) == Pf.RSVD


def test_a_function_that_many_have_is_known_by_its_file() -> None:
    known = modelled_function("arch/csky/mm/fault.c:do_page_fault")
    assert known is not None
    assert (known.name, known.file) == ("do_page_fault", "arch/csky/mm/fault.c")
    assert modelled_function("do_page_fault") is None
    assert "arch/csky/mm/fault.c:do_page_fault" in resolve("with generic_page_fault")


def test_user_accesses_of_the_kernel() -> None:
    def story(k: Kernel) -> None:
        page, guard = k.mm().mmap(), k.mm("other").mmap(contents="guard page")

        @k.thread
        def program() -> None:
            assert copy_from_user_nofault(page.mm, page.address) is None
            assert page.put_user(7) == 0
            assert page.get_user() == 7
            assert copy_from_user_nofault(page.mm, page.address) == 7
            assert guard.get_user() == -EFAULT

    assert found(story) == "holds"


def test_a_handler_of_a_fault_signal_runs_and_the_instruction_again() -> None:
    def story(k: Kernel) -> None:
        page = k.mm().mmap(Vm.READ)

        @k.thread(process=page, handlers={SIGSEGV: lambda: page.mprotect(Vm.READ | Vm.WRITE)})
        def program() -> None:
            page.store(1)

    assert found(story) == "holds"


def test_a_stack_does_not_grow_into_its_neighbour() -> None:
    def story(k: Kernel) -> None:
        process = k.mm()
        process.mmap()
        _, beside = process.stack()
        below = beside.address - 0x1000

        @k.thread
        def program() -> None:
            beside.store(1)
            assert process.mm.find_vma(beside.address) is not None
            type(beside)(k, beside.vma, below).store(1)

    assert found(story) == "SIGSEGV"


def test_two_threads_grow_a_stack_once() -> None:
    def story(k: Kernel) -> None:
        _, beside = k.mm().stack()
        k.thread(name="a")(lambda: beside.store(1))
        k.thread(name="b")(lambda: beside.store(2))

    assert found(story) == "holds"
