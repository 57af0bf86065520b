"""Programs at random: what is drawn, and how often.

A program has two threads, a monitor outside and memory ``p`` and ``q``, with room ``r`` for what is
mapped later. Memory is registered by steps, not beforehand, so that few different sets of cells are
needed on the model. One step is one move: the order is forced, and a step of a thread that is busy
is missed, on both sides. At the end all pages are looked at.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from refault.litmus.program import MONITOR, PAGE, Memory, Place, Program, Step, Thread

_Q, _R = Memory("q", 2), Memory("r", 4, kind="room")
_S = Memory("s", 4, kind="shmem", shared=True, of="p")
KINDS: tuple[tuple[Memory, ...], ...] = (
    (Memory("p", 4), _Q, _R),
    (Memory("p", 4, kind="shmem", shared=True), _Q, _R, _S),
    (Memory("p", 4, kind="shmem"), _Q, _R, _S),
)
"""The memory of programs: ``p`` is anonymous, or a file of tmpfs, which ``s`` maps as well."""

THREADS = (Thread("a"), Thread("b"))
FAMILY = (Thread("a"), Thread("c", forked=True))
FORKING: tuple[tuple[str, ...], ...] = (
    (),
    ("EVENT_FORK",),
    ("EVENT_FORK", "WP_UNPOPULATED"),
    ("EVENT_FORK", "EVENT_REMAP", "EVENT_REMOVE", "EVENT_UNMAP"),
)
"""Programs with a child ask for one of these; of such, only the monitor has the userfaultfd."""

HANDLERS = (("SIGUSR1", False), ("SIGUSR2", True))
SIGNALS = [name for name, _ in HANDLERS]
END = "at the end"
"""What the labels of the last looks begin with."""
FEATURES: tuple[tuple[str, ...], ...] = (
    (),
    ("PAGEFAULT_FLAG_WP", "WP_UNPOPULATED"),
    ("EVENT_REMAP", "EVENT_REMOVE", "EVENT_UNMAP"),
    ("WP_UNPOPULATED", "EVENT_REMAP", "EVENT_REMOVE", "EVENT_UNMAP"),
    ("SIGBUS",),
    ("WP_ASYNC", "WP_UNPOPULATED"),
)
"""Sets of features that are asked for; others change only what is told of a fault."""

MODES = ("missing", "missing", "wp", "missing wp", "missing wp", "minor")
PROTS = ("rw", "rw", "r", "")


class Recipe(NamedTuple):
    """How long programs are, and which steps they have (all, if none are named).

    One in so many ``forks``; such a program takes new processes, so it costs more. 0 for none.
    """

    steps: int = 16
    only: frozenset[str] = frozenset()
    forks: int = 40


class _Chef:
    """Draws one program."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.memories = chance.choices(KINDS, (5, 2, 1))[0]
        self.sizes = {memory.name: memory.pages for memory in self.memories}

    def where(self) -> Place:
        """A page, most often of ``p``."""
        odds = {"p": 8, "q": 3, "r": 2, "s": 3}
        name = self.chance.choices([*self.sizes], [odds[name] for name in self.sizes])[0]
        return Place(name, self.chance.randrange(self.sizes[name]))

    def span(self, key: str = "at") -> dict[str, Any]:
        """A place, and how many pages from there on: often one or all."""
        at = self.where()
        left = self.sizes[at.memory] - at.page
        return {key: at, "pages": self.chance.choice((1, 1, left, self.chance.randint(1, left)))}

    def bytes(self) -> dict[str, Any]:
        """A buffer: a place, an offset in its page, and how many bytes, up to two pages."""
        span = self.span()
        offset = self.chance.choice((0, 0, 100, PAGE - 8))
        most = min(span["pages"], 2) * PAGE - offset
        return {"at": span["at"], "offset": offset, "count": self.chance.choice((1, 8, most))}

    def flag(self, odds: int = 4) -> bool:
        """True once in ``odds`` times."""
        return self.chance.randrange(odds) == 0

    def pair(self) -> tuple[Place, Place, int]:
        """Two places and as many pages as there are behind both."""
        one, two = self.where(), self.where()
        left = min(self.sizes[one.memory] - one.page, self.sizes[two.memory] - two.page)
        return one, two, self.chance.choice((1, 1, left))


def _move(chef: _Chef) -> dict[str, Any]:
    at, src, pages = chef.pair()
    return {"at": at, "src": src, "pages": pages, "holes": chef.flag(2)}


def _mremap(chef: _Chef) -> dict[str, Any]:
    at, to, pages = chef.pair()
    return {"at": at, "to": to, "pages": pages, "keep": chef.flag()}


def _copy_from(chef: _Chef) -> dict[str, Any]:
    at, src, pages = chef.pair()
    return {"at": at, "src": src, "pages": pages, "wp": chef.flag()}


Draw = Callable[[_Chef], dict[str, Any]]

ANYBODY: dict[str, tuple[int, Draw]] = {
    "read": (10, lambda c: {}),
    "copy": (12, lambda c: {**c.span(), "wp": c.flag(), "wake": not c.flag(5)}),
    "zeropage": (6, lambda c: {**c.span(), "wake": not c.flag(5)}),
    "wake": (4, lambda c: c.span()),
    "protect": (8, lambda c: c.span()),
    "unprotect": (8, lambda c: {**c.span(), "wake": not c.flag(5)}),
    "resume": (1, lambda c: {**c.span(), "wake": not c.flag(5)}),
    "poison": (3, lambda c: {**c.span(), "wake": not c.flag(5)}),
    "move": (6, _move),
    "register": (8, lambda c: {**c.span(), "modes": c.chance.choice(MODES)}),
    "unregister": (3, lambda c: c.span()),
    "kill": (2, lambda c: {"who": c.chance.choice("ab"), "signal": c.chance.choice(SIGNALS)}),
}
"""Steps that the monitor does as well as any thread: how often, and their arguments."""

THREAD: dict[str, tuple[int, Draw]] = {
    "load": (25, lambda c: {"at": c.where()}),
    "store": (25, lambda c: {"at": c.where(), "value": c.chance.choice((7, 8, 9))}),
    "mprotect": (5, lambda c: {**c.span(), "prot": c.chance.choice(PROTS)}),
    "munmap": (3, lambda c: c.span()),
    "mmap": (4, lambda c: {**c.span(), "prot": c.chance.choice(PROTS)}),
    "mremap": (5, _mremap),
    "dontneed": (5, lambda c: c.span()),
    "guard": (3, lambda c: c.span()),
    "unguard": (3, lambda c: c.span()),
    "populate": (4, lambda c: {**c.span(), "write": c.flag(2)}),
    "madv_free": (2, lambda c: c.span()),
    "put_user": (4, lambda c: {"at": c.where()}),
    "vm_read_there": (3, lambda c: c.bytes()),
    "mem_read": (3, lambda c: c.bytes()),
    "futex_wake": (2, lambda c: {"at": c.where(), "offset": 8 * c.chance.randrange(9), "count": 4}),
    "copy_from": (4, _copy_from),
}
"""Steps of the threads of the process alone."""


FOR_CHILDREN = {do: entry for do, entry in ANYBODY.items() if do not in ("kill", "move")}
OF_CHILDREN = {
    do: THREAD[do] for do in ("load", "store", "mprotect", "munmap", "mmap", "mremap", "dontneed")
}
"""What the monitor does for a program with a child, and what that and its parent do."""

ANYTHING = Recipe()


def generate(chance: random.Random, recipe: Recipe = ANYTHING) -> Program:
    """Draw a program."""
    chef = _Chef(chance)
    steps = [_register(chef)]
    if recipe.forks and chef.flag(recipe.forks):
        return _family(chef, steps, recipe)
    while len(steps) < recipe.steps:
        steps.append(_step(chef, recipe))
    empty = Program(chef.memories, THREADS, (), chance.choice(FEATURES), handlers=HANDLERS)
    return finished(steps, empty)


def _family(chef: _Chef, steps: list[Step], recipe: Recipe) -> Program:
    """A program in which ``a`` forks a child, after some steps."""
    forks = chef.chance.randint(2, 8)
    while len(steps) < recipe.steps:
        thread = "a" if len(steps) == forks else chef.chance.choices((MONITOR, *"ac"), (6, 2, 4))[0]
        menu = FOR_CHILDREN if thread == MONITOR else OF_CHILDREN
        do = chef.chance.choices([*menu], [number for number, _ in menu.values()])[0]
        if len(steps) == forks:
            steps.append(Step("a", "fork", {"who": "c"}, ""))
            continue
        args = menu[do][1](chef)
        if thread == MONITOR and chef.flag(2):
            args["of"] = "c"
        steps.append(Step(thread, do, args, ""))
    features = chef.chance.choice(FORKING)
    return finished(steps, Program(chef.memories, FAMILY, (), features, handlers=HANDLERS))


def _register(chef: _Chef) -> Step:
    """Most programs begin with all of ``p`` registered."""
    args = {"at": Place("p"), "pages": 4, "modes": chef.chance.choice(MODES[:-1])}
    return Step(MONITOR, "register", args, "")


def _step(chef: _Chef, recipe: Recipe) -> Step:
    thread = chef.chance.choices((MONITOR, "a", "b"), (5, 4, 3))[0]
    menu = ANYBODY if thread == MONITOR or chef.flag(3) else THREAD
    if thread == MONITOR and chef.flag(2):
        thread = chef.chance.choice((MONITOR, "a", "b"))
    names = [name for name in menu if not recipe.only or name in recipe.only]
    if not names:
        menu, names = (THREAD, [*THREAD]) if menu is ANYBODY else (ANYBODY, [*ANYBODY])
        thread = "a" if menu is THREAD else thread
    do = chef.chance.choices(names, [menu[name][0] for name in names])[0]
    return Step(thread, do, menu[do][1](chef), "")


def all_steps(like: Program) -> Program:
    """A program with every step that there is: what it needs besides memory, all of them need."""
    chef = _Chef(random.Random(0))
    chef.memories = like.memories
    chef.sizes = {memory.name: memory.pages for memory in like.memories}
    menu = FOR_CHILDREN if any(thread.forked for thread in like.threads) else ANYBODY | THREAD
    return finished([Step("a", do, menu[do][1](chef), "") for do in menu], like)


def finished(steps: list[Step], like: Program) -> Program:
    """A program of these steps, one a move, with looks at the end and a label for each value."""
    looks = [
        *(Step(MONITOR, "status", {"who": t.name}, "") for t in like.threads),
        *(Step(MONITOR, "handled", {"who": t.name}, "") for t in like.threads if not t.forked),
        *(
            Step(MONITOR, "peek", {"at": Place(m.name), "pages": m.pages}, "")
            for m in like.memories
        ),
    ]
    named = [step._replace(label=f"{number}") for number, step in enumerate(steps)]
    named += [step._replace(label=f"{END} {number}") for number, step in enumerate(looks)]
    return like._replace(moves=tuple((step,) for step in named))
