"""A litmus test as a story: its memory is mapped, its threads do their steps in forced order."""

from __future__ import annotations

from functools import partial
from typing import cast

from refault.explore import restart, scope
from refault.explore.errors import UserError
from refault.linux import Kernel
from refault.linux.arch.ptrace import Access, End, PtRegs
from refault.linux.arch.refusal import faulthandler_disabled
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.siginfo import SigInfo
from refault.linux.include.uapi.signal import (
    SA_RESTART,
    SIG_DFL,
    SIGBUS,
    SIGSEGV,
    Disposition,
    Handler,
    Sigaction,
    Signal,
    sigset,
)
from refault.linux.kernel.entry.common import irqentry_exit_to_user_mode
from refault.linux.kernel.signal.deliver import set_current_blocked
from refault.linux.modelled import current, modelled_function
from refault.litmus.program import IDLE, MISSED, MONITOR, Program, Step

from .board import TOLD, Board, plan_of, watch
from .operations import OPERATIONS, THINGS
from .room import Room, room
from .world import Skipped, World

Handlers = dict[Signal, Handler | Disposition | Sigaction]


def play(program: Program, kernel: Kernel, *, space: Room | None = None) -> World:
    """Make the story of a program for a kernel; its outcome will be in ``World.outcome``.

    ``space`` is what is set aside for its steps, by default what they can need.
    """
    _require(program)
    world = World(program, kernel, room(program) if space is None else space)
    for make in {THINGS[step.do]: None for step in program.steps if step.do in THINGS}:
        world.things[make] = make(world)
    names = (*(thread.name for thread in program.threads), MONITOR)
    unborn = frozenset(thread.name for thread in program.threads if thread.forked)
    world.board = Board(kernel.program, names, plan_of(program), unborn)
    watch(kernel, world.board)
    _keep_siginfo(world)
    _count_faults(world)
    handlers = _handlers(world)
    for thread in program.threads:
        kernel.thread(
            name=thread.name,
            daemon=True,
            process=world.children.get(thread.name, world.process),
            handlers=handlers,
            blocked=[Signal[name] for name in thread.blocked],
        )(partial(_live, world, thread.name))
    kernel.thread(name=MONITOR, daemon=True, outside=True)(partial(_live, world, MONITOR))
    kernel.program.at_end(lambda view: None)
    return world


def _require(program: Program) -> None:
    for step in program.steps:
        if step.do not in OPERATIONS:
            raise UserError(
                f"no step of a litmus test is called {step.do!r}",
                f"there are {', '.join(sorted(OPERATIONS))}",
            )


def _handlers(world: World) -> Handlers:
    def noted() -> None:
        world.handled[current().name].update(_one_more)

    def skip(signal: Signal) -> None:
        noted()
        blocked = next(t.blocked for t in world.program.threads if t.name == current().name)
        set_current_blocked(sigset(Signal[name] for name in blocked))
        raise Skipped(world.siginfo[current().name].read())

    handlers: Handlers = {SIGBUS: SIG_DFL, SIGSEGV: SIG_DFL}
    if not world.program.bare:
        handlers = {sig: partial(skip, sig) for sig in handlers}
    for name, restarts in world.program.handlers:
        handlers[Signal[name]] = SA_RESTART(noted) if restarts else noted
    return handlers


def _keep_siginfo(world: World) -> None:
    """Have it written down what a fault's signal says of it, as the handler is told."""
    known = modelled_function("force_sig_info_to_task")
    assert known is not None
    original = world.kernel.patched.get(known.key, known.function)

    def watched(info: SigInfo) -> None:
        name = current().name
        if name in world.siginfo:
            world.siginfo[name].write(f"{info.signo.name} {info.code.name}")
        original(info)

    world.kernel.patched[known.key] = watched


def _count_faults(world: World) -> None:
    """Have page faults counted as perf counts them: those that are handled, or looked into."""
    if not world.faults:
        return
    known = modelled_function("do_user_addr_fault")
    assert known is not None
    original = world.kernel.patched.get(known.key, known.function)

    def watched(mm: MmStruct, access: Access, regs: PtRegs) -> End:
        name = current().name
        if name in world.faults and not faulthandler_disabled():
            world.faults[name].update(_one_more)
        return cast("End", original(mm, access, regs))

    world.kernel.patched[known.key] = watched


def _one_more(times: int) -> tuple[int, None]:
    return times + 1, None


def _live(world: World, name: str) -> None:
    """Do the steps of one thread, each in its turn, and be idle for ever after."""
    for number, move in enumerate(world.program.moves):
        own = [step for step in move if step.thread == name]
        if own and _wait(world, name, number):
            for step in own:
                _do(world, step)
            world.board.set(name, IDLE)
        elif own:
            for step in own:
                world.say(step, MISSED)
    _wait(world, name, len(world.program.moves) + 1)


@scope
def _wait(world: World, name: str, number: int) -> bool:
    """Wait for a move, taking signals meanwhile; tells whether the thread can take part."""
    while True:
        restart()
        turn = world.board.turn(name, number)
        if turn != TOLD:
            return turn == "turn"
        irqentry_exit_to_user_mode()
        world.board.set(name, IDLE)


@scope
def _do(world: World, step: Step) -> None:
    """Do a step, and write its value down."""
    if step.thread in world.faults:
        world.faults[step.thread].write(0)
    try:
        value = OPERATIONS[step.do](world, step)
    except Skipped as skipped:
        value = skipped.signal
    world.say(step, value)
