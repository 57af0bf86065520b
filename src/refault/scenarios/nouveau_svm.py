"""A GPU that shares the memory of processes: nouveau's fault worker."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.drivers.gpu.drm.nouveau.nouveau_svm import (
    FaultAccess,
    NouveauSvm,
    SvmFault,
    Svmm,
    nouveau_svmm_fini,
    nouveau_svmm_part,
)
from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.mmu_notifier import subscriptions_of
from refault.linux.kernel.rcu.srcutree import srcu_invoke_callbacks
from refault.linux.kernel.workqueue import flush_work, process_one_work
from refault.scenarios.api import scenario

NOUVEAU = "drivers/gpu/drm/nouveau/nouveau_svm.c of 6.18: a story of our own"


@scenario(
    source="drm/nouveau/svm: drain fault handler before freeing svmm",
    expect={"": ("BUG", "use after free"), "with nouveau_svm_drain": "holds"},
)
def gpu_is_closed_while_it_faults(k: Kernel) -> None:
    """A program can close the GPU while faults of the GPU are being serviced."""
    page = k.mm().mmap(contents="page")
    svmm = Svmm(k.program, page.mm, "svmm")
    svm = NouveauSvm(k.program, (svmm,), (SvmFault(0, page.address, FaultAccess.READ),))
    srcu = subscriptions_of(page.mm).srcu
    k.thread(name="rcu", daemon=True)(lambda: srcu_invoke_callbacks(srcu))
    k.thread(name="worker", daemon=True)(lambda: process_one_work(svm.work))

    @k.thread
    def program() -> None:
        nouveau_svmm_part(svm, svmm)
        nouveau_svmm_fini(svm, svmm)


@scenario(source=NOUVEAU, expect={"": "assertion failure", "with nouveau_atomic_by_fault": "holds"})
def gpu_fault_of_another_process(k: Kernel) -> None:
    """What one program's GPU code does wrong is no harm to another's.

    An atomic access makes the rest of the batch atomic, too. That needs a page that can be written
    to: the other program reads one that cannot, and its channel is killed.
    """
    pages = [k.mm(name).mmap(Vm.READ, contents="page") for name in ("first", "second")]
    svmms = tuple(Svmm(k.program, page.mm, f"svmm of {page.mm}") for page in pages)
    wrong = SvmFault(0, pages[0].address, FaultAccess.ATOMIC)
    right = SvmFault(1, pages[1].address, FaultAccess.READ)
    svm = NouveauSvm(k.program, svmms, (wrong, right))
    k.thread(name="worker", daemon=True)(lambda: process_one_work(svm.work))

    @k.thread
    def reset() -> None:
        flush_work(svm.work)
        assert svm.cancelled.read() == (wrong,), "a read of memory that can be read is cancelled"


@scenario(source=NOUVEAU)
def gpu_faults_while_its_page_goes(k: Kernel) -> None:
    """The GPU does not keep a page that goes while it is being faulted in."""
    page = k.mm().mmap(contents="page")
    svmm = Svmm(k.program, page.mm, "svmm")
    svm = NouveauSvm(k.program, (svmm,), (SvmFault(0, page.address, FaultAccess.WRITE),))
    k.thread(name="worker", daemon=True)(lambda: process_one_work(svm.work))

    @k.thread
    def program() -> None:
        page.dontneed()
        flush_work(svm.work)
        entry = svmm.pt[page.address].read()
        pte = page.mm.pte(page.address).read()
        assert entry is None or entry.pfn == pte.pfn, "the GPU has a page that was given back"
