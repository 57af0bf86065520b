"""A process ends while a device is at work on its memory: the thread on hmm_release() of 2018.

HMM passes on what its mmu notifier is told to its mirrors, with ``mirrors_sem`` held for reading.
The question was what to hold while drivers are told that the process ends, and they wait for work
that may itself be in the middle of an invalidation.
"""

from __future__ import annotations

from refault.explore import restart
from refault.linux import Kernel
from refault.linux.include.linux.hmm import HmmMirror, HmmMirrorOps
from refault.linux.include.linux.mmu_notifier import (
    MmuNotifierRange,
)
from refault.linux.include.uapi.signal import SIGKILL
from refault.linux.kernel.fork import get_task_mm, put_task_mm
from refault.linux.kernel.locking.rwsem import RwsemState
from refault.linux.mm.hmm_mirror import (
    hmm_get_or_create,
    hmm_mirror_register,
    hmm_mirror_unregister,
)
from refault.linux.mm.memory.zap import zap_page_range_single
from refault.linux.mm.mmu_notifier import mmu_notifier_unregister
from refault.linux.user import Page
from refault.scenarios.api import scenario
from refault.scenarios.hmm_device import Device, is_freed

HUBBARD = "LKML 2018-03-21, John Hubbard, Re: [PATCH 03/15] mm/hmm: HMM should have a callback"
GLISSE = "LKML 2018-03-21, Jerome Glisse, Re: [PATCH 03/15] mm/hmm: HMM should have a callback"
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


def _freed(k: Kernel, page: Page) -> None:
    """Somebody waits for the memory of the process to be given back."""
    k.thread(name="admin")(lambda: page.mm.pmd.wait(is_freed))


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


@scenario(source=HUBBARD, claims=("43",), expect={"": "use after free", NO_LOCK: "use after free"})
def hmm_release_kills_but_the_device_goes_on(k: Kernel) -> None:
    """It is enough for the device itself, too, to be stopped and its page table to be emptied.

    A fault that is in the middle of its work fills it again.
    """
    page = _process(k)
    device = Device(k, page, drains=False)
    device.mirror(hmm_get_or_create(page.mm))
    k.thread(name="gpu")(device.access)


@scenario(source=HUBBARD, claims=("43",), expect={"": "holds", f"{V2}, {NO_LOCK}": "holds"})
def hmm_release_kills_workers_with_mmget(k: Kernel) -> None:
    """It is enough if the worker keeps the process in use while it is at work."""
    page = _process(k)
    _freed(k, page)
    device = Device(k, page, drains=False, mmget=True)
    device.mirror(hmm_get_or_create(page.mm))
    k.thread(name="gpu")(device.access)


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
    expect={
        "": "deadlock",
        "with rwsem_reader_preference": "holds",
        V2: "deadlock",
        ONE_BY_ONE: "use after free",
        SPLICE: "use after free",
    },
)
def hmm_release_unregister_and_work(k: Kernel) -> None:
    """And it can do so while its worker and its release take the lock of the device."""
    _unregisters(k, locked=True, worker=True)


@scenario(source="a story of our own, after LKML 2018-03-21, John Hubbard", expect={"": "deadlock"})
def hmm_worker_is_the_last_user(k: Kernel) -> None:
    """A worker that keeps the process in use may give it up itself, and its release may drain.

    It may be the last one. Then it is the worker that takes the process down, and waits for itself;
    so there is ``mmput_async()``.
    """
    page = _process(k)
    _freed(k, page)
    Device(k, page, mmget=True, hasty=True).mirror(hmm_get_or_create(page.mm))


@scenario(source="a story of our own, after LKML 2018-03-21, John Hubbard")
def hmm_worker_leaves_the_last_mmput(k: Kernel) -> None:
    """With ``mmput_async()`` it may."""
    page = _process(k)
    _freed(k, page)
    Device(k, page, mmget=True).mirror(hmm_get_or_create(page.mm))


@scenario(source=HUBBARD, claims=("47",))
def notifier_release_drains(k: Kernel) -> None:
    """A driver with an mmu notifier of its own can do all of that at once.

    Its release waits for the worker, both take the lock of the device, and somebody unregisters the
    notifier and frees it meanwhile.
    """
    page = _process(k)
    notifier = Device(k, page, locked=True).notifier()

    @k.thread
    def close() -> None:
        mmu_notifier_unregister(notifier)
        notifier.memory.free()


ENDLESS = {"": "holds", SPLICE: "livelock", ONE_BY_ONE: "livelock", V2: "holds"}
COMING = {"": "holds", SPLICE: "holds", ONE_BY_ONE: "holds", V2: "holds"}


def _mirror(k: Kernel, page: Page, names: tuple[str, ...]) -> list[HmmMirror]:
    """Mirrors that do nothing when they are released."""
    hmm, ops = hmm_get_or_create(page.mm), HmmMirrorOps(lambda range: None, lambda: None)
    return [HmmMirror(hmm, name, ops, registered=not i) for i, name in enumerate(names)]


@scenario(source=HUBBARD, claims=("45", "Q14"), expect=COMING)
def hmm_release_while_mirrors_come(k: Kernel) -> None:
    """The release ends if it has to begin again for each mirror that was registered meanwhile."""
    page = _process(k)
    _first, *others = _mirror(k, page, ("first", "second", "third"))

    @k.thread
    def register() -> None:
        for mirror in others:
            hmm_mirror_register(mirror)


@scenario(source=HUBBARD, claims=("45", "Q14"), expect=ENDLESS)
def hmm_release_while_mirrors_keep_coming(k: Kernel) -> None:
    """It ends even if mirrors never stop being registered."""
    page = _process(k)
    _first, other = _mirror(k, page, ("first", "other"))

    @k.thread(daemon=True)
    def register() -> None:
        while True:
            restart()
            other.listed.wait(lambda listed: not listed)
            hmm_mirror_register(other)


@scenario(source=HUBBARD, claims=("Q14",), expect=COMING)
def hmm_release_while_users_register(k: Kernel) -> None:
    """It ends if whoever registers mirrors keeps the process in use for that, as he must."""
    page = _process(k)
    _first, other = _mirror(k, page, ("first", "other"))

    @k.thread(daemon=True)
    def register() -> None:
        while get_task_mm(page.mm):
            restart()
            hmm_mirror_register(other)
            hmm_mirror_unregister(other)
            put_task_mm(page.mm)


@scenario(
    source=GLISSE, claims=("48",), expect={"": "deadlock", "with rwsem_reader_preference": "holds"}
)
def hmm_sync_invalidates(k: Kernel) -> None:
    """What a device does to forget a page may itself take pages out of the page table."""
    page = k.mm().mmap(contents="page", pages=2)
    hmm = hmm_get_or_create(page.mm)

    def sync(range: MmuNotifierRange) -> None:
        if range.start == page.address:
            zap_page_range_single(page.vma, page[1].address)

    HmmMirror(hmm, "mirror", HmmMirrorOps(sync))
    other = HmmMirror(hmm, "other", HmmMirrorOps(lambda range: None), registered=False)
    k.thread(name="program")(page.dontneed)
    k.thread(name="open")(lambda: hmm_mirror_register(other))


@scenario(source=HUBBARD, claims=("49",), expect={"": "assertion failure"})
def hmm_release_finds_nobody_at_work(k: Kernel) -> None:
    """When a release that does not wait returns, nobody holds mmap_lock for a fault any more."""
    page = _process(k)
    device = Device(k, page, drains=False)

    def release() -> None:
        device.release()
        assert not page.mm.mmap_lock.count.peek(_is_read), "a fault is in the middle of its work"

    ops = HmmMirrorOps(device.sync, release)
    HmmMirror(hmm_get_or_create(page.mm), "mirror", ops)


def _is_read(sem: RwsemState) -> bool:
    return bool(sem.readers)


@scenario(source=HUBBARD, claims=("46",))
def killed_while_it_migrates(k: Kernel) -> None:
    """A thread that is killed while it moves a page to a device finishes that, and then dies.

    If it did not, whoever faults on the page would wait for ever.
    """
    page = k.mm().mmap(contents="page")
    device = Device(k, page, worker=False)
    other = k.mm("other")

    @k.thread(process=other)
    def driver() -> None:
        k.syscall(device.fault)

    @k.thread
    def killer() -> None:
        k.kill(driver, SIGKILL)

    @k.thread
    def program() -> None:
        page.store(7)
        assert page.load() == 7


@scenario(
    source="Ralph Campbell, 2018: mm/hmm: HMM should have a callback before MM is destroyed",
    expect={"": "holds", "without hmm_release_callback": "use after free"},
)
def mirror_of_a_process_that_ends(k: Kernel) -> None:
    """A device does not use the memory of a process that has ended."""
    page = _process(k)
    device = Device(k, page, maps=True, worker=False)
    device.mirror(hmm_get_or_create(page.mm))
    k.thread(name="gpu")(device.access)


@scenario(
    source="Jerome Glisse, 2018: mm/hmm: invalidate device page table at start of invalidation",
    expect={"": "holds", "without hmm_invalidate_start": "use after free"},
)
def mirror_and_dontneed(k: Kernel) -> None:
    """A device does not use a page that MADV_DONTNEED has given back."""
    page = k.mm().mmap(contents="page")
    device = Device(k, page, maps=True, worker=False)
    device.mirror(hmm_get_or_create(page.mm))
    k.thread(name="program")(page.dontneed)
    k.thread(name="gpu")(device.access)


@scenario(
    source="Xiao Guangrong, 2013: mm: mmu_notifier: re-fix freed page still mapped",
    expect={"": "holds", "without release_before_unhash": "use after free"},
)
def reclaim_while_a_process_ends(k: Kernel) -> None:
    """A page that is swapped out while the process ends is out of the device's reach before."""
    page = _process(k)
    device = Device(k, page, maps=True, worker=False)
    device.notifier()
    k.thread(name="kswapd")(page.reclaim)
    k.thread(name="gpu")(device.access)
