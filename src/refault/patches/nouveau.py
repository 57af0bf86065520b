"""What nouveau's fault worker was given later, and what it lacks."""

from __future__ import annotations

from refault.linux.drivers.gpu.drm.nouveau.nouveau_svm import (
    FaultAccess,
    NouveauSvm,
    SvmFault,
    Svmm,
)
from refault.linux.kernel.locking.mutex import mutex_lock, mutex_unlock
from refault.linux.kernel.workqueue import flush_work
from refault.linux.mm.mmu_notifier import mmu_notifier_put
from refault.patches.patch import Patch


def _drain(svm: NouveauSvm, svmm: Svmm) -> None:
    """Wait for the worker, which may have looked the page table up, before it goes."""
    flush_work(svm.work)
    mutex_lock(svmm.mutex)
    svmm.vmm.write(False)
    mutex_unlock(svmm.mutex)
    mmu_notifier_put(svmm.notifier)


nouveau_svm_drain = Patch(
    name="nouveau_svm_drain",
    title="drm/nouveau/svm: drain fault handler before freeing svmm",
    kind="later fix",
    commit="b46ddaf08234",
    since="7.3",
    source="in 7.3; stable since 6.12.117",
    stable={"6.12": "6.12.117"},
    replaces={"nouveau_svmm_fini": _drain},
)


def _of_its_own(fault: SvmFault, before: bool) -> bool:
    return fault.access is FaultAccess.ATOMIC


nouveau_atomic_by_fault = Patch(
    name="nouveau_atomic_by_fault",
    title="drm/nouveau/svm: say of each fault whether it is atomic",
    kind="proposal",
    source="follows from the stories of nouveau's faults in the catalogue",
    replaces={"is_atomic": _of_its_own},
)
