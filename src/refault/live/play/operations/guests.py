"""Virtual CPUs: ``KVM_RUN`` by a thread, of a guest that loads or stores one byte and exits."""

from __future__ import annotations

from refault.litmus.program import COPIED, Step
from refault.live.kvm import EXIT_MMIO, Mode, VirtualMachine
from refault.live.play.stage import COPIED_BYTE, Stage

from .registry import Gate, Started, operation


def _run(stage: Stage, step: Step, gate: Gate, mode: Mode) -> Started:
    """Enter the guest, which begins if it has not been run yet, and else goes on."""
    thread = stage.thread(step.thread)
    if "machine" not in stage.things:
        page = stage.address(step.args["at"])
        stage.things["machine"] = VirtualMachine(stage.puppet, mode, page=page)
        stage.things["machine"].begin(thread, step.args.get("value"))
        stage.spoilt = True
    machine: VirtualMachine = stage.things["machine"]

    def value(result: int) -> str:
        found = machine.exit(result)
        copied = found.reason == EXIT_MMIO and not result and found.byte == COPIED_BYTE
        return f"MMIO {COPIED}" if copied else str(found)

    return Started(machine.run(thread, gate=gate.shut, delay=gate.delay), value)


@operation
def guest_run(stage: Stage, step: Step, gate: Gate) -> Started:
    """Run a guest in long mode, at the lowest privilege, which hosts do not emulate."""
    return _run(stage, step, gate, Mode.USER)


@operation
def emulated_run(stage: Stage, step: Step, gate: Gate) -> Started:
    """Run a guest in real mode, which the host must emulate."""
    return _run(stage, step, gate, Mode.REAL)
