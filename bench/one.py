"""One check, one process: ``python -m bench.one PROGRAM`` prints a JSON line.

As a user has it: the default engines, livelocks looked for, the counterexample with the fewest
context switches replayed and explained. The options leave things out, to compare searches alone.
"""

from __future__ import annotations

import argparse
import json

from bench.process import GIB
from bench.programs import PROGRAMS, Bench

from refault.explore import check


def bench(name: str) -> Bench:
    """Find a program by its name, or by that of a model with its arguments: ``lastzero(n=9)``."""
    if name in PROGRAMS:
        return PROGRAMS[name]
    model, _, arguments = name.rstrip(")").partition("(")
    pairs = (pair.split("=") for pair in arguments.split(","))
    return Bench(model, {key: int(value) for key, value in pairs})


def main() -> None:
    """Check the program that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--engine", choices=("portfolio", "states", "traces"), default="portfolio")
    parser.add_argument("--no-reduction", action="store_true")
    parser.add_argument("--search-only", action="store_true", help="no livelocks, no explanation")
    parser.add_argument("--time", type=float, default=600, help="limit in seconds")
    parser.add_argument("--memory", type=int, default=8 * GIB, help="limit in bytes")
    asked = parser.parse_args()
    verdict = check(
        bench(asked.program).build(),
        engine=asked.engine,
        reduce=not asked.no_reduction,
        liveness=not asked.search_only,
        explain=not asked.search_only,
        max_states=2_000_000_000,
        max_memory=asked.memory,
        time=asked.time,
    )
    evidence = verdict.evidence
    print(
        json.dumps(
            {
                "program": asked.program,
                "verdict": str(verdict),
                "kind": verdict.kind,
                "reason": verdict.reason,
                "engine": evidence.engine,
                "reduction": evidence.reduction,
                "states": evidence.states,
                "transitions": evidence.transitions,
                "traces": evidence.traces,
                "seconds": evidence.seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
