"""One run of the model, and which kernel functions each of its tasks enters.

A kernel writes down which modelled functions are looked up (``Kernel.asked``). ``Log`` stands in
for that set here, so the model and the explorer know nothing of it, and it costs them nothing.

Who runs when is up to a ``Policy``: a task runs until it is blocked, then the next one does. Those
beside the first task run first, until all of them wait. Of a choice the first option is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from refault.explore import Program, Replayer
from refault.explore.replay import Actor
from refault.explore.runtime import driver
from refault.linux import Kernel
from refault.linux.modelled import modelled_function
from refault.patches import resolve

STEPS = 5_000
"""Steps after which a run is given up: longer than any story that ends."""


TIMER = "timer"
"""The task that runs only when no other can: what it does, a time limit does."""


class Entered(NamedTuple):
    """A modelled function that a task has entered, and the functions around it, the inner last."""

    thread: str
    function: str
    around: tuple[str, ...]


class Policy(NamedTuple):
    """What a machine with several CPUs leaves open.

    ``overtaken`` numbers the wake-up, from 1 on, from which on the woken task is the faster one: it
    goes on whenever it can. ``late`` tells that whoever would wait when the recording begins has
    not come so far yet.
    """

    overtaken: int = 0
    late: bool = False


AS_TOLD = Policy()
"""Every task runs until it has to wait."""


class Run(NamedTuple):
    """What was entered, in order; what the model found, if anything; and whether it was cut."""

    calls: tuple[Entered, ...]
    finding: str = ""
    cut: bool = False


class Log(set[str]):
    """Stands in for ``Kernel.asked``, and writes down each look-up."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Entered] = []
        self.ended: set[str] = set()
        self._stacks: dict[str, list[str]] = {}

    def add(self, key: str) -> None:
        """Write down that the running task enters a function."""
        super().add(key)
        actor = driver()
        assert isinstance(actor, Actor)
        modelled = modelled_function(key)
        assert modelled is not None
        stack = self._stacks.setdefault(actor.task_name, [])
        depth = actor.depth - 1
        del stack[depth:]
        stack.extend("" for _ in range(depth - len(stack)))
        if actor.task_name not in self.ended:
            self.calls.append(Entered(actor.task_name, modelled.name, tuple(filter(None, stack))))
        stack.append(modelled.name)


class Stage:
    """What a story has besides the kernel: it says when what is to be compared begins."""

    def __init__(self, kernel: Kernel, log: Log) -> None:
        self.log = log
        self._begun = kernel.program.cell("recording", False)

    def begin(self) -> None:
        """Forget what was entered so far, by all tasks: the recording begins here."""
        self._begun.write(True)
        self.log.calls.clear()

    def end(self) -> None:
        """What the running task does from here on is not written down."""
        self.log.ended.add(driver().task_name)


Story = Callable[[Kernel, Stage], object]


class _Player(Replayer):
    """A replayer that tries an atomic block rather than to ask first whether it can end."""

    def _can_finish(self, task: str) -> bool:
        return True


def execute(story: Story, variant: str, policy: Policy = AS_TOLD, steps: int = STEPS) -> Run:
    """Run a story on a variant of the model, at most so many steps."""
    logs: list[Log] = []
    patches = resolve(variant)

    def build(program: Program) -> None:
        kernel = Kernel(program, patches, arch=patches.arch)
        kernel.asked = log = Log()
        logs.append(log)
        story(kernel, Stage(kernel, log))

    player = _Player(build)
    try:
        taken = _steps(player, policy, steps)
        failure = player.failure
    finally:
        player.close()
    finding = "" if failure is None else f"the model finds: {failure.kind}: {failure.message}"
    return Run(tuple(logs[0].calls), finding, taken == steps)


def _steps(player: _Player, policy: Policy, most: int) -> int:
    """Take steps until no task can go on; the first task of the story begins last."""
    first, *others = player.actors
    order = [first, *others] if policy.late else [*others, first]
    order.sort(key=lambda name: name == TIMER)
    at, taken, wakeups, faster = order[0], 0, 0, ""
    while taken < most and player.failure is None:
        asleep = {name for name in order if not player.enabled(name)}
        if at in asleep:
            at = next((name for name in order if name not in asleep), "")
            if not at:
                break
        player.step(at, 0)
        taken += 1
        woken = [name for name in order if name in asleep and player.enabled(name)]
        wakeups += bool(woken)
        if woken and wakeups == policy.overtaken:
            faster = woken[0]
        at = faster if faster and player.enabled(faster) else at
    return taken
