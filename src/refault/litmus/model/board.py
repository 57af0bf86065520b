"""Forced order: who is doing what, and whose turn it is, in one cell.

On a real machine somebody looks on until all threads have settled and then tells one of them to go
on. In the model nobody needs to: the write that settles the last thread begins the next move. To
know about sleep and wake-up, ``watch`` stands between the threads and some functions of the kernel,
each in one step with what they do, so that nothing is settled that still runs.

A thread that enters ``handle_userfault()`` a second time without having slept spins, unless it was
refused the first time, and so does one that has a system call restarted twice. It may do so because
of what was; so whenever somebody else settles, it has to show again that it spins.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from refault.explore import atomic
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import FaultFlag
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_RUNNING, TASK_STOPPED
from refault.linux.kernel.locking.lockdep import might_sleep
from refault.linux.kernel.sched.core import _is_running, _look_for_signals
from refault.linux.modelled import current, modelled_function
from refault.litmus.program import DEAD, IDLE, SPINS, UNBORN, WAITS
from refault.litmus.program import Program as Litmus

if TYPE_CHECKING:
    from refault.explore import Program
    from refault.linux import Kernel
    from refault.linux.include.linux.sched import TaskState
    from refault.linux.task import Task

RUNS, AGAIN, TOLD = "runs", "runs again", "told of a signal"
BUSY = (RUNS, AGAIN, TOLD)
Plan = tuple[frozenset[str], ...]


class State(NamedTuple):
    """The move that is on, what each thread does, and which turns were missed."""

    move: int
    threads: tuple[tuple[str, str], ...]
    missed: frozenset[tuple[int, str]] = frozenset()

    def of(self, thread: str) -> str:
        """What a thread does."""
        return dict(self.threads)[thread]

    def now(self, thread: str, status: str) -> State:
        """The state with another status of a thread."""
        return self._replace(
            threads=tuple((t, status if t == thread else s) for t, s in self.threads)
        )


def _advance(state: State, plan: Plan) -> State:
    """Begin the next move once everybody has settled, and the next one if nobody can make it."""
    while state.move < len(plan) and not any(s in BUSY for _, s in state.threads):
        state = state._replace(move=state.move + 1)
        if state.move < len(plan):
            state = _begin(state, plan[state.move])
    return state


def _begin(state: State, whose: frozenset[str]) -> State:
    for thread in sorted(whose):
        if state.of(thread) == IDLE:
            state = state.now(thread, RUNS)
        else:
            state = state._replace(missed=state.missed | {(state.move, thread)})
    return state


def _set(state: State, thread: str, status: str, plan: Plan) -> tuple[State, None]:
    if status not in (*BUSY, SPINS):
        spinning = [t for t, s in state.threads if s == SPINS and t != thread]
        for other in spinning:
            state = state.now(other, RUNS)
    return _advance(state.now(thread, status), plan), None


def _awake(state: State, thread: str) -> tuple[State, None]:
    asleep = state.of(thread) not in (*BUSY, IDLE, SPINS, DEAD, UNBORN)
    return (state.now(thread, RUNS) if asleep else state), None


def _faults(state: State, thread: str, plan: Plan) -> tuple[State, None]:
    step = {RUNS: AGAIN, AGAIN: SPINS}
    return _set(state, thread, step.get(state.of(thread), state.of(thread)), plan)


def _refused(state: State, thread: str) -> tuple[State, None]:
    return (state.now(thread, RUNS) if state.of(thread) == AGAIN else state), None


def _told(state: State, thread: str) -> tuple[State, None]:
    return (state.now(thread, TOLD) if state.of(thread) == IDLE else state), None


def _turn(state: State, thread: str, move: int) -> str:
    if state.of(thread) == TOLD:
        return TOLD
    return "missed" if (move, thread) in state.missed else "turn"


def _has_turn(state: State, thread: str, move: int) -> bool:
    return state.move >= move or state.of(thread) == TOLD


def plan_of(program: Litmus) -> Plan:
    """Whose turn each move is."""
    return tuple(frozenset(step.thread for step in move) for move in program.moves)


def first(threads: tuple[str, ...], plan: Plan, unborn: frozenset[str] = frozenset()) -> State:
    """The state in which a program begins."""
    return _advance(State(-1, tuple((t, UNBORN if t in unborn else IDLE) for t in threads)), plan)


class Board:
    """The cell, and what threads and watched functions do with it."""

    def __init__(
        self,
        program: Program,
        threads: tuple[str, ...],
        plan: Plan,
        unborn: frozenset[str] = frozenset(),
    ) -> None:
        self.names = threads
        self.plan = plan
        self.unborn = unborn
        self.cell = program.cell("board", first(threads, plan, unborn))

    def turn(self, thread: str, move: int) -> str:
        """Wait for a move; tells if it is on, was missed, or a signal is to be taken first."""
        seen = self.cell.wait(_has_turn, thread, move)
        return _turn(seen, thread, move)

    def set(self, thread: str, status: str) -> None:
        """Say what a thread does now."""
        self.cell.update(_set, thread, status, self.plan)

    def ended(self, state: State) -> bool:
        """Whether all moves have been made."""
        return state.move >= len(self.plan)


def _where() -> str:
    """The function of the kernel that the running task sleeps in, if it is one that has a name."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if frame.f_code.co_name in WAITS:
            return frame.f_code.co_name
        frame = frame.f_back
    return ""


def _sleep(state: TaskState) -> str:
    if state == TASK_STOPPED:
        return "T do_signal_stop"
    return f"{'S' if state & TASK_INTERRUPTIBLE else 'D'} {_where()}".strip()


def watch(kernel: Kernel, board: Board) -> None:
    """Have the board told of the sleeps, wake-ups and ends of the kernel's threads."""

    def instead(name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        known = modelled_function(name)
        assert known is not None, name
        kernel.patched[name] = make(kernel.patched.get(name, known.function))

    names = dict(board.cell.values[0].threads)

    def schedule(_original: Callable[[], None]) -> Callable[[], None]:
        def watched() -> None:
            might_sleep("schedule()")
            task = current()
            with atomic():
                _look_for_signals(task)
                state = task.state.read()
                if state != TASK_RUNNING and task.name in names:
                    board.set(task.name, _sleep(state))
            task.state.wait(_is_running)

        return watched

    def try_to_wake_up(original: Callable[[Task, TaskState], bool]) -> Callable[..., bool]:
        def watched(task: Task, mask: TaskState) -> bool:
            with atomic():
                woken = original(task, mask)
                if woken and task.name in names:
                    board.cell.update(_awake, task.name)
            return woken

        return watched

    def handle_userfault(original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(vmf: Any, reason: Any) -> Any:
            waits = not vmf.flags & FaultFlag.RETRY_NOWAIT
            if waits and current().name in names:
                board.cell.update(_faults, current().name, board.plan)
            result = original(vmf, reason)
            if result & VmFault.ERROR and current().name in names:
                board.cell.update(_refused, current().name)
            return result

        return watched

    def restart_syscall(original: Callable[[], int]) -> Callable[[], int]:
        def watched() -> int:
            if current().name in names:
                board.cell.update(_faults, current().name, board.plan)
            return original()

        return watched

    def signal_wake_up(original: Callable[[Task, bool], None]) -> Callable[[Task, bool], None]:
        def watched(task: Task, fatal: bool) -> None:
            original(task, fatal)
            if task.name in names:
                board.cell.update(_told, task.name)

        return watched

    def do_task_dead(original: Callable[[], NoReturn]) -> Callable[[], NoReturn]:
        def watched() -> NoReturn:
            if current().name in names:
                board.set(current().name, DEAD)
            original()

        return watched

    instead("schedule", schedule)
    instead("try_to_wake_up", try_to_wake_up)
    instead("handle_userfault", handle_userfault)
    instead("restart_syscall", restart_syscall)
    instead("signal_wake_up", signal_wake_up)
    instead("do_task_dead", do_task_dead)
