"""Virtual CPUs: ``KVM_RUN`` by a thread, of a guest that loads or stores one byte and exits."""

from __future__ import annotations

from refault.linux.buffers import kvm_run_emulated
from refault.linux.syscalls import kvm_run
from refault.linux.virt.kvm.kvm_host import Exit, Kvm
from refault.litmus.model.world import STORED, World, byte
from refault.litmus.program import Step

from .registry import at, buffer, needs, number, operation


def _kvm(world: World) -> Kvm:
    return world.kernel.kvm(world.process)


def _exit(found: Exit) -> str:
    return number(found.errno) if found.errno else f"MMIO {byte(found.value)}"


def _value(step: Step) -> int | None:
    return step.args["value"] + STORED if "value" in step.args else None


@needs(_kvm)
@operation
def guest_run(world: World, step: Step) -> str:
    """Run a guest that the CPU runs itself; it loads, or stores a ``value``."""
    return _exit(kvm_run(world.things[_kvm], at(world, step), _value(step)))


@needs(_kvm)
@operation
def emulated_run(world: World, step: Step) -> str:
    """Run a guest that the host emulates."""
    return _exit(kvm_run_emulated(world.things[_kvm], buffer(world, step), _value(step)))
