"""LKML, March 2018: "mm/hmm: HMM should have a callback before MM is destroyed v2"."""

from __future__ import annotations

from .claim import Case, Claim

HUBBARD = "LKML 2018-03-21, John Hubbard, Re: [PATCH 03/15] mm/hmm: HMM should have a callback"
GLISSE = "LKML 2018-03-21, Jerome Glisse, Re: [PATCH 03/15] mm/hmm: HMM should have a callback"
HAIRGROVE = f"{HUBBARD}, on what Mark Hairgrove said"

V2 = "with hmm_release_v2"
SPLICE = "with hmm_release_splice"
ONE_BY_ONE = "without hmm_release_read"
NO_LOCK = "without exit_mmap_locked"

DRAINS = "hmm-release-drains"
KILLS = "hmm-release-kills"
GOES_ON = "hmm-release-kills-but-the-device-goes-on"
MMGET = "hmm-release-kills-workers-with-mmget"
UNREGISTER = "hmm-release-and-unregister"
COME = "hmm-release-while-mirrors-come"
KEEP = "hmm-release-while-mirrors-keep-coming"
USERS = "hmm-release-while-users-register"

CLAIMS = (
    Claim(
        "41",
        "With v2 a driver that waits in its release for work under way deadlocks.",
        HUBBARD,
        (Case(DRAINS, V2, "deadlock"),),
    ),
    Claim(
        "42",
        "It does not: a release that triggers no invalidation itself is all that is needed.",
        GLISSE,
        (Case(DRAINS, V2, "holds", "it triggers none"),),
    ),
    Claim(
        "43",
        "A release that does not wait lets the memory go while a fault is at work on it.",
        HUBBARD,
        (
            Case(KILLS, NO_LOCK, "use after free", "up to 5.16"),
            Case(GOES_ON, "", "use after free", "since then: by the device itself"),
            Case(MMGET, NO_LOCK, "use after free", "the worker holds a reference"),
        ),
    ),
    Claim(
        "44",
        "Taking the mirrors off the list and releasing them without the lock avoids the problem.",
        HUBBARD,
        (
            Case(DRAINS, SPLICE, "holds", "the deadlock"),
            Case(UNREGISTER, SPLICE, "holds", "a driver unregisters meanwhile"),
        ),
    ),
    Claim(
        "45",
        "Doing that until the list is empty lasts as long as mirrors are registered, then ends.",
        HUBBARD,
        (
            Case(COME, SPLICE, "holds", "two come"),
            Case(KEEP, SPLICE, "livelock", "they never stop"),
        ),
    ),
    Claim(
        "46",
        "A thread that is in the middle of migrate_vma() cannot be killed there.",
        HUBBARD,
        (Case("killed-while-it-migrates"),),
    ),
    Claim(
        "47",
        "The mmu notifiers have solved it: they hold no locks when they call.",
        HAIRGROVE,
        (Case("notifier-release-drains"), Case("srcu-waits-for-old-readers-only")),
    ),
    Claim(
        "48",
        "What a device does to forget pages must not trigger an mmu notifier.",
        GLISSE,
        (Case("hmm-sync-invalidates", "", "deadlock", "somebody registers a mirror"),),
    ),
    Claim(
        "49",
        "Faults in flight can hold all the locks that they need when the release is called.",
        HUBBARD,
        (Case("hmm-release-finds-nobody-at-work", "", "assertion failure"),),
    ),
    Claim(
        "Q13",
        "It is enough to drop the lock while the release callbacks are called.",
        HUBBARD,
        (
            Case(DRAINS, SPLICE, "holds", "all at once"),
            Case(DRAINS, ONE_BY_ONE, "holds", "one by one"),
            Case(UNREGISTER, SPLICE, "holds", "all at once"),
            Case(UNREGISTER, ONE_BY_ONE, "holds", "one by one"),
        ),
        always=True,
    ),
    Claim(
        "Q14",
        "The release ends, however many mirrors are registered meanwhile.",
        HUBBARD,
        (
            Case(COME, SPLICE, "holds", "a few"),
            Case(KEEP, SPLICE, "holds", "without end"),
            Case(USERS, SPLICE, "holds", "by who keeps the process in use"),
        ),
    ),
)
