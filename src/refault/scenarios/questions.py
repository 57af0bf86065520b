"""What one asks a kernel, and how its behaviour answers: the litmus tests of ``refault probe``.

An answer is read from outcomes, never from a version. Its conditions are values by label, or the
beginnings of values; the first answer counts of which one outcome fulfils all conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from refault.litmus.program import Outcome


class Answer(NamedTuple):
    """What is said where an outcome fulfils conditions."""

    words: str
    when: Mapping[str, str]

    def fits(self, outcome: Outcome) -> bool:
        """Whether an outcome fulfils the conditions."""
        values = dict(outcome)
        return all(values.get(label, "").startswith(begin) for label, begin in self.when.items())


class Question(NamedTuple):
    """Something to be found out by a scenario that is a litmus test; ``group`` is a heading."""

    group: str
    text: str
    scenario: str
    answers: tuple[Answer, ...]

    def answer(self, outcomes: Iterable[Outcome]) -> str:
        """The words for what was seen; ``unclear`` where no answer is known."""
        seen = tuple(outcomes)
        fitting = (a.words for a in self.answers if any(a.fits(o) for o in seen))
        return next(fitting, "unclear")

    def count(self, outcomes: Mapping[Outcome, int]) -> int:
        """How often that was seen which the answer rests on."""
        words = self.answer(outcomes)
        answers = [a for a in self.answers if a.words == words]
        return sum(n for o, n in outcomes.items() if any(a.fits(o) for a in answers))


SIGNALS = "what a signal does to who waits for a page"
POISON_CODES = ("BUS_ADRERR", "BUS_MCEERR_AR")
ASLEEP = {"after": "S handle_userfault"}
LATER = Answer("waits until the page comes", {"after": "D "})
SPIN = Answer("spins until the page comes", {"after": "spins"})
AT_ONCE = Answer("-EINTR at once", {"result": "-EINTR", "after": "idle"})

RULES = "what a monitor should know"
BUGS = "known bugs: is it so here?"
YES, NO, NONE = "yes", "no", "there is none"


def _bug(
    text: str, scenario: str, label: str, begin: str = "S handle_userfault", lacks: str = ""
) -> Question:
    """A bug that is there if a value begins so; ``lacks`` is the step that older kernels refuse."""
    answers = (Answer(YES, {label: begin}), Answer(NO, {}))
    return Question(BUGS, text, scenario, (*_lacking(lacks), *answers))


def _lacking(step: str) -> tuple[Answer, ...]:
    return (Answer(NONE, {step: "-EINVAL"}),) if step else ()


QUESTIONS = (
    Question(
        SIGNALS,
        "a load",
        "live-load-usr1",
        (Answer("at once; then it faults again", {"handled": "1", **ASLEEP}), SPIN, LATER),
    ),
    Question(SIGNALS, "write(2) of the page", "live-pipe-write-usr1", (SPIN, LATER)),
    Question(SIGNALS, "MADV_POPULATE_READ", "live-populate-read-usr1", (LATER, SPIN)),
    Question(SIGNALS, "KVM_RUN, user mode", "live-guest-load-usr1", (AT_ONCE, LATER, SPIN)),
    Question(SIGNALS, "KVM_RUN, real mode", "live-emulated-load-usr1", (AT_ONCE, LATER, SPIN)),
    Question(
        SIGNALS,
        "write(2), SIGKILL",
        "live-pipe-write-kill",
        (Answer("it dies", {"after": "dead"}), LATER, SPIN),
    ),
    Question(
        RULES,
        "COPY finds a page",
        "live-eexist-wakes-nobody",
        (Answer("-EEXIST, wakes nobody", {"status2": "S "}), Answer("wakes", {"status2": "idle"})),
    ),
    Question(
        RULES,
        "COPY finds poison",
        "live-copy-over-poison",
        (
            *_lacking("poison"),
            Answer("fills the page", {"copy": "4096"}),
            Answer("-EEXIST", {"copy": "-EEXIST"}),
        ),
    ),
    Question(
        RULES,
        "a load of poison",
        "live-poison",
        (
            *_lacking("poison"),
            *(Answer(f"SIGBUS {c}", {"load": f"SIGBUS {c}"}) for c in POISON_CODES),
        ),
    ),
    Question(
        RULES,
        "COPY during an event",
        "live-fill-during-remove",
        (
            Answer("-EAGAIN until it is read", {"copy": "-EAGAIN", "copy2": "4096"}),
            Answer("-EAGAIN, no result", {"copy": "0", "copy2": "4096"}),
        ),
    ),
    Question(
        RULES,
        "MOVE by another process",
        "live-move",
        (*_lacking("move"), Answer("-EINVAL", {"from_outside": "-EINVAL"})),
    ),
    Question(
        RULES,
        "system call, user mode only",
        "live-user-mode-only",
        (Answer("-EFAULT, no message", {"put_user": "-EFAULT", "read": "none"}),),
    ),
    _bug("COPY without a result wakes nobody", "live-result-unwritable", "status"),
    _bug("COPY into what is registered anew", "live-registered-anew", "filled", "4096"),
    _bug("COPY protects during UNREGISTER", "live-protected-for-nobody", "protection", "wp"),
    _bug("MOVE says -EEXIST of what it moved", "live-move-races", "move", "-EEXIST", "move"),
    _bug("POISON leaves a load asleep", "live-poison-races", "status", lacks="poison"),
    _bug("ZEROPAGE and store leave it asleep", "live-zeropage-then-store", "status"),
    _bug("UNREGISTER leaves a load asleep", "live-unregister-races", "status"),
    _bug("UNREGISTER leaves a writer asleep", "live-unregister-protected", "status"),
    Question(
        BUGS,
        "WRITEPROTECT in part wakes nobody",
        "live-unprotected-in-part",
        (Answer(YES, {"protection": "not wp", "status": "S "}), Answer(NO, {})),
    ),
    _bug("WRITEPROTECT leaves a store asleep", "live-zero-page-unprotected", "status"),
    _bug("read(2) that fails loses a message", "live-message-lost", "read", "none"),
    _bug("close leaves a page protected", "live-close-protected", "protection", "wp"),
)
"""In the order of the page."""


class Untried(NamedTuple):
    """What a probe does not try: why, and how to try it."""

    group: str
    text: str
    scenario: str
    missing: str
    remedy: str


UNTRIED = (
    Untried(
        BUGS,
        "KSM forgets the protection",
        "live-merging-unprotects",
        "not tried: ksmd would run, for the whole machine",
        "use refault live",
    ),
)
"""Known bugs that are not looked for."""
