"""Litmus tests are data: told as a story, kept as JSON."""

from __future__ import annotations

import json

import pytest

from refault.litmus import Litmus, Place, Program
from refault.litmus.program import BLOCKED, said


def told() -> Program:
    t = Litmus()
    t.userfaultfd("WP_UNPOPULATED", user_mode_only=True, blocking=True, handshake=False)
    t.handle("SIGUSR1", restart=True)
    p = t.memory("p", 2, modes="missing wp", contents="page", protected=True)
    t.memory("q", kind="shmem", shared=True, of=p)
    program = t.thread("program", blocked="SIGUSR2")
    child = t.child()
    program.load(p[1])
    with t.together():
        program.load(p)
        t.monitor.copy(p, wake=False)
    t.monitor.kill(program, "SIGUSR1")
    program.fork(child, label="")
    t.monitor.of(child).wake(p, label="")
    return t.program


def test_a_program_survives_json() -> None:
    program = told()
    assert Program.from_json(json.loads(json.dumps(program.to_json()))) == program


def test_values_are_named_after_the_steps() -> None:
    program = told()
    assert program.labels == ("load", "load2", "copy")
    assert program.outcome({"load": "0"}) == (("load", "0"), ("load2", BLOCKED), ("copy", BLOCKED))
    assert said((("a", "0"), ("b", "read p"))) == "a=0 b='read p'"


def test_what_is_told_together_is_one_move() -> None:
    program = told()
    assert [len(move) for move in program.moves] == [1, 2, 1, 1, 1]
    assert program.races
    assert str(program.moves[0][0]) == "program: load(p[1])"


def test_memory_ends_somewhere() -> None:
    p = Litmus().memory("p", 2)
    assert p[1] == Place("p", 1)
    with pytest.raises(IndexError, match="p has 2 pages"):
        p[2]
