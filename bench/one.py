"""One search, one process: ``python -m bench.one PROGRAM [--no-reduction]`` prints a JSON line."""

from __future__ import annotations

import argparse
import json

from bench.programs import PROGRAMS

from refault.explore import check

GIB = 1 << 30


def main() -> None:
    """Check the program that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--no-reduction", action="store_true")
    parser.add_argument("--time", type=float, default=600, help="limit in seconds")
    asked = parser.parse_args()
    verdict = check(
        PROGRAMS[asked.program].build(),
        engine="states",
        reduce=not asked.no_reduction,
        liveness=False,
        explain=False,
        max_states=200_000_000,
        max_memory=8 * GIB,
        time=asked.time,
    )
    evidence = verdict.evidence
    print(
        json.dumps(
            {
                "program": asked.program,
                "reduction": evidence.reduction,
                "verdict": str(verdict),
                "reason": verdict.reason,
                "states": evidence.states,
                "transitions": evidence.transitions,
                "seconds": evidence.seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
