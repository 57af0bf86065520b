"""A process ends while a device is at work on its memory: the thread on hmm_release() of 2018.

HMM passes on what its mmu notifier is told to its mirrors, with ``mirrors_sem`` held for reading. The
question was what to hold while drivers are told that the process ends, and they wait for work that
may itself be in the middle of an invalidation.
"""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.linux.hmm import HmmMirror, HmmMirrorOps
from refault.linux.include.linux.mmu_notifier import (
    MmuNotifier,
    MmuNotifierOps,
    MmuNotifierRange,
)
from refault.linux.mm.hmm_mirror import (
    hmm_get_or_create,
    hmm_mirror_register,
    hmm_mirror_unregister,
)
from refault.linux.mm.mmu_notifier import mmu_notifier_unregister
from refault.linux.user import Page
from refault.scenarios.api import scenario
from refault.scenarios.hmm_device import Device

HUBBARD = "LKML 2018-03-21, John Hubbard, Re: [PATCH 03/15] mm/hmm: HMM should have a callback"
GLISSE = "LKML 2018-03-21, Jérôme Glisse, Re: [PATCH 03/15] mm/hmm: HMM should have a callback"
CAMPBELL = "LKML 2019-06, Ralph Campbell, Re: mm/hmm: Remove confusing comment and logic"

V2 = "with hmm_release_v2"
SPLICE = "with hmm_release_splice"
ONE_BY_ONE = "without hmm_release_read"
NO_LOCK = "without exit_mmap_locked"


def _process(k: Kernel) -> Page:
    """A process with one page, whose only thread is about to exit."""
    page = k.mm().mmap(contents="page")
    k.thread(name="exit", process=page)(lambda: None)
    return page


@scenario(
    source=HUBBARD,
    claims=("41", "42", "44", "Q13"),
    expect={"": "holds", ONE_BY_ONE: "holds", SPLICE: "holds", V2: "deadlock"},
)
def hmm_release_drains(k: Kernel) -> None:
    """A driver can wait in its release for the work that is under way."""
    page = _process(k)
    Device(k, page).mirror(hmm_get_or_create(page.mm))


@scenario(
    source=HUBBARD,
    claims=("43", "49"),
    expect={"": "holds", NO_LOCK: "use after free", f"{V2}, {NO_LOCK}": "use after free"},
)
def hmm_release_kills(k: Kernel) -> None:
    """It is enough that the release keeps new work from beginning."""
    page = _process(k)
    Device(k, page, drains=False).mirror(hmm_get_or_create(page.mm))


@scenario(source=HUBBARD, claims=("43",), expect={"": "holds", f"{V2}, {NO_LOCK}": "holds"})
def hmm_release_kills_workers_with_mmget(k: Kernel) -> None:
    """It is enough if the worker keeps the process in use while it is at work."""
    page = _process(k)
    Device(k, page, drains=False, mmget=True).mirror(hmm_get_or_create(page.mm))


def _unregisters(k: Kernel, *, locked: bool, worker: bool) -> None:
    page = _process(k)
    device = Device(k, page, locked=locked, worker=worker)
    mirror = device.mirror(hmm_get_or_create(page.mm))

    @k.thread
    def close() -> None:
        hmm_mirror_unregister(mirror)
        mirror.memory.free()


@scenario(
    source=CAMPBELL,
    claims=("44", "Q13"),
    expect={"": "holds", V2: "holds", ONE_BY_ONE: "use after free", SPLICE: "use after free"},
)
def hmm_release_and_unregister(k: Kernel) -> None:
    """A driver can unregister its mirror and free it while the process ends."""
    _unregisters(k, locked=False, worker=False)


@scenario(
    source=CAMPBELL,
    expect={"": "deadlock", "with rwsem_reader_preference": "holds"},
)
def hmm_release_unregister_and_work(k: Kernel) -> None:
    """And it can do so while its worker and its release take the lock of the device."""
    _unregisters(k, locked=True, worker=True)
