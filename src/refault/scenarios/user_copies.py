"""Copies between the kernel and user memory that fail half way, and what the program is told."""

from __future__ import annotations

from refault.linux import Kernel, Page
from refault.linux.arch.x86.include.asm.cpufeatures import X86Feature
from refault.linux.arch.x86.lib.copy_user_64 import Run
from refault.linux.drivers.char.hw_random.core import CHUNK, Hwrng, rng_dev_read
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.uapi.errno import EBUSY, EFAULT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.mutex import mutex_lock, mutex_unlock
from refault.linux.lib.usercopy import _copy_from_user as copy_from_user
from refault.linux.lib.usercopy import raw_copy_from_user
from refault.linux.mm.filemap_fault import filemap_fault
from refault.linux.sound.core.pcm_native import (
    SndPcmRuntime,
    __snd_pcm_lib_xfer,
    snd_pcm_oss_mmap,
)
from refault.linux.syscalls import ioctl_in, ioctl_out, read_file, write_file
from refault.scenarios.api import scenario

VETTER = "LKML 2018-04-04, Daniel Vetter: Signal handling in a page fault handler"

OLD = X86Feature.NONE
LONG = 64


def dead(k: Kernel, faults: int) -> Page:
    """Map a page whose fault handler only ever says SIGBUS, and is called ``faults`` times."""
    called = k.program.cell("called", 0)

    def fail(vmf: VmFaultInfo) -> VmFault:
        assert called.update(_one_more) < faults, "the page is touched once more"
        return VmFault.SIGBUS

    device = k.file("device", vm_ops=VmOperations(fault=fail, name="device"))
    return k.mm().mmap(file=device, shared=True)


def _one_more(calls: int) -> tuple[int, int]:
    return calls + 1, calls


def _touched(k: Kernel, faults: int, features: X86Feature, length: int) -> None:
    k.cpu_features = features
    page = dead(k, faults)

    @k.thread
    def program() -> None:
        assert ioctl_in(page, length) == -EFAULT


ONCE = {"": "holds", "without copy_user_one_try": "assertion failure"}
TWICE = {"": "assertion failure", "without copy_user_one_try": "assertion failure"}


@scenario(source=VETTER, claims=("1",), expect=ONCE)
def dead_page_is_touched_once_fsrm(k: Kernel) -> None:
    """A copy by one ``rep movsb`` touches a dead page once; before 6.4 its tail did so again."""
    _touched(k, 1, X86Feature.FSRM, LONG)


@scenario(source=VETTER, claims=("1",), expect=ONCE)
def dead_page_is_touched_once_erms(k: Kernel) -> None:
    """So does a long copy on a processor that has fast strings, if not short ones."""
    _touched(k, 1, X86Feature.ERMS, LONG)


@scenario(source=VETTER, claims=("1",), expect=ONCE)
def dead_page_is_touched_once_bytes(k: Kernel) -> None:
    """So does a copy of less than a word, byte by byte."""
    _touched(k, 1, OLD, 7)


@scenario(source=VETTER, claims=("1",), expect=TWICE)
def dead_page_is_touched_once_words(k: Kernel) -> None:
    """A copy by words goes on by bytes where a word fails, and touches the page again: refuted."""
    _touched(k, 1, X86Feature.ERMS, 8)


@scenario(source=VETTER, claims=("1",), expect=TWICE)
def dead_page_is_touched_once_movsq(k: Kernel) -> None:
    """So does a long copy by ``rep movsq``: refuted."""
    _touched(k, 1, OLD, LONG)


@scenario(source=VETTER, claims=("1",), expect={"": "holds", "without copy_user_one_try": "holds"})
def dead_page_is_never_touched_thrice(k: Kernel) -> None:
    """The second loop is the last one, whatever the processor."""
    _touched(k, 2, OLD, LONG)


def half(k: Kernel) -> Page:
    """Map a file of one page for two: whoever touches the second gets SIGBUS."""
    return k.mm().mmap(file=k.file("short", pages=1), shared=True, pages=2)


BOTH = 2 * PAGE_SIZE
EITHER = {"": "holds", "without copy_user_one_try": "holds"}


@scenario(source=VETTER, claims=("2",), expect=EITHER)
def copy_ends_at_a_dead_page(k: Kernel) -> None:
    """A copy that fails for good says how many bytes are left, and the rest of its buffer is zero.

    The kernel's variant without zeroes leaves what was there before.
    """
    page = half(k)

    def call() -> int:
        cleared = copy_from_user(page.mm, page.address, BOTH)
        raw = raw_copy_from_user(page.mm, page.address, BOTH)
        assert cleared.left == raw.left == PAGE_SIZE
        assert cleared.runs[1:] == (Run(0, PAGE_SIZE),)
        assert raw.runs[1:] == (Run(None, PAGE_SIZE),)
        return 0

    @k.thread
    def program() -> None:
        k.syscall(call)


@scenario(source=VETTER, claims=("3",), expect=EITHER)
def what_a_failed_copy_is_told_as(k: Kernel) -> None:
    """It depends on the system call: all of it failed, or so many bytes were moved.

    An ioctl that fails to copy its answer has done its work all the same.
    """
    page, other = half(k), k.file("other", pages=2)

    @k.thread
    def program() -> None:
        assert ioctl_in(page, BOTH) == -EFAULT
        assert ioctl_out(page, 1, BOTH) == -EFAULT
        assert write_file(other, page, BOTH) == PAGE_SIZE
        assert read_file(other, page, BOTH) == PAGE_SIZE
        assert write_file(other, page[1], PAGE_SIZE) == -EFAULT
        assert read_file(other, page[1], PAGE_SIZE) == -EFAULT


@scenario(
    source="Nick Piggin, 2007: mm: fix pagecache write deadlocks",
    expect={"": "holds", "without pagecache_write_nofault": "deadlock"},
)
def write_of_the_page_to_itself(k: Kernel) -> None:
    """A file written from a mapping of the very page that is being written does not deadlock.

    The copy under the folio lock is made with faults disabled; the page is faulted in without it.
    """
    file = k.file("file")
    page = k.mm().mmap(file=file, shared=True)

    @k.thread
    def program() -> None:
        assert write_file(file, page, PAGE_SIZE) == PAGE_SIZE

    @k.thread
    def truncater() -> None:
        page.dontneed()


@scenario(
    source="Nick Piggin, 2007: mm: fix pagecache write deadlocks",
    expect={"": "holds", "without pagecache_write_nofault": "deadlock"},
)
def write_of_a_page_to_another_and_back(k: Kernel) -> None:
    """Two programs that each write to a file what they have mapped of the other's."""
    one, other = k.file("one"), k.file("other")
    process = k.mm()
    of_one, of_other = process.mmap(file=one, shared=True), process.mmap(file=other, shared=True)

    @k.thread
    def there() -> None:
        assert write_file(one, of_other, PAGE_SIZE) == PAGE_SIZE

    @k.thread
    def back() -> None:
        assert write_file(other, of_one, PAGE_SIZE) == PAGE_SIZE


@scenario(
    source="Michal Hocko, 2017: mm, oom: fix potential data corruption when oom_reaper races with"
    " writer",
    expect={"": "holds", "without oom_unstable": "assertion failure"},
)
def written_to_a_file_while_reaped(k: Kernel) -> None:
    """A program whose memory is being reaped writes it to a file: all of it, or nothing.

    The reaper begins before the thread is told that it is being killed. Where the page came back
    as zeroes, these were written, for all to see.
    """
    process, file = k.mm(), k.file("file")
    page = process.mmap(contents="page")
    seen = k.mm("other").mmap(file=file, shared=True)
    stored = k.program.cell("stored", False)

    @k.thread
    def writer() -> None:
        page.store(7)
        stored.write(True)
        if write_file(file, page, PAGE_SIZE) == PAGE_SIZE:
            assert seen.load() == 7, "zeroes were written"

    @k.thread
    def oom_reaper() -> None:
        stored.wait(bool)
        process.oom_reap()


HWRNG = "Herbert Xu, 2023: hwrng: core - Fix page fault dead lock on mmap-ed hwrng; CVE-2023-52615"


@scenario(source=HWRNG, expect={"": "holds", "without hwrng_copy_unlocked": "deadlock"})
def random_numbers_into_a_mapping_of_them(k: Kernel) -> None:
    """A device that copies to the user under a lock that its own fault handler takes.

    The buffer that random numbers are read to is a mapping whose pages come from the same device.
    """
    rng = Hwrng(k.program)

    def fault(vmf: VmFaultInfo) -> Found:
        mutex_lock(rng.reading_mutex)
        mutex_unlock(rng.reading_mutex)
        return filemap_fault(vmf)

    device = k.file("hwrng", vm_ops=VmOperations(fault=fault, name="hwrng"))
    page = k.mm().mmap(file=device, shared=True)

    @k.thread
    def program() -> None:
        assert k.syscall(lambda: rng_dev_read(rng, page.mm, page.address)) == CHUNK


@scenario(
    source="Takashi Iwai, 2022: ALSA: pcm: Fix potential AB/BA lock with buffer_mutex",
    expect={"": "holds", "without pcm_buffer_accessing": "deadlock"},
)
def sound_written_while_it_is_mapped(k: Kernel) -> None:
    """A copy from the user under a lock that another one takes with mmap_lock held for writing."""
    process = k.mm()
    page = process.mmap()
    runtime = SndPcmRuntime(k.program)

    @k.thread
    def player() -> None:
        came = k.syscall(lambda: __snd_pcm_lib_xfer(runtime, page.mm, page.address, LONG))
        assert came in (LONG, -EBUSY)

    @k.thread
    def mapper() -> None:
        k.syscall(lambda: snd_pcm_oss_mmap(runtime, page.mm))
