"""The tables of the pages that are made from the code: what is modelled, and what is not."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.project import live_tables, order

import refault.linux
from refault import patches, plugins, scenarios
from refault.linux import AddressSpace, Kernel, Page, UserFaultFd, modelled_functions
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.report import gpu, refused, signals
from refault.scenarios.gpu_outcomes import Contention
from refault.scenarios.gup_callers import CALLERS, FLAG, PLACES, outcome

PACKAGE = Path(refault.linux.__file__).parent

PIECES = {
    "add",
    "asked_after_fault",
    "abort_seq_after_unlock",
    "abort_seq_under_lock",
    "beyond_the_end",
    "bring_in",
    "claim_features",
    "config_memory_failure",
    "copy_loop",
    "copy_outside_the_locks",
    "detach_range",
    "dup_mmap_lock_vma",
    "copy_user_handle_tail",
    "do_device_private",
    "exit_free_pgtables",
    "exit_unmap_vmas",
    "fail_put_user",
    "fail_writeprotect",
    "fault_tried",
    "fetch",
    "find_and_refile",
    "find_event",
    "flush_and_unlock",
    "fork_write_protect_begin",
    "fork_write_protect_end",
    "gup_fault_flags",
    "gup_interrupted",
    "gup_locked",
    "gup_may_unlock",
    "gup_read_lock",
    "hold_mmap_changing",
    "release_mmap_changing",
    "unprotecting",
    "huge_page_is_missing",
    "hugetlb_alloc_failed",
    "install_guard",
    "interruptible_mutex",
    "interruptible_sleep",
    "isolate_folio",
    "killed",
    "lazyfree_may_go",
    "hmm_invalidate_range",
    "hmm_invalidate_range_end",
    "hmm_invalidate_range_start",
    "hmm_mirror_register",
    "hmm_mirror_unregister",
    "hmm_release",
    "hmm_vma_walk",
    "is_atomic",
    "kvm_mmu_seq_begin",
    "kvm_mmu_seq_checked",
    "load",
    "lock_device_page",
    "lock_src_folio",
    "may_fill_for",
    "mfill_get_vma",
    "mfill_may_replace",
    "mfill_put_vma",
    "mfill_retry_state_same",
    "mfill_retry_state_save",
    "mmap_changing_begin",
    "mmap_changing_end",
    "mn_hlist_invalidate_failed",
    "move_pages_loop",
    "new_fork_ctx",
    "offers_exact_address",
    "offers_minor_hugetlbfs",
    "offers_minor_shmem",
    "offers_move",
    "offers_poison",
    "offers_wp",
    "offers_wp_async",
    "offers_wp_of_files",
    "offers_wp_unpopulated",
    "nouveau_pfnmap",
    "nouveau_svm_service",
    "poisoned",
    "pte_must_wait",
    "put_back",
    "put_device_page",
    "refile",
    "say_mmap_changing",
    "seq_has_changed",
    "set_page_anon_exclusive",
    "sigsegv",
    "sleep_on_uwq",
    "store",
    "swap_in_directly",
    "swap_write_folio",
    "throttled",
    "uffd_api_features",
    "unlink_uwq",
    "unregister_vma",
    "userfault_refused",
    "vm_fault_begin",
    "vm_fault_end",
    "vm_fault_result",
    "wake_filled",
    "wp_flush_pending",
    "wp_install_copy",
    "vcpu_run_emulated",
}
"""Modelled functions that 6.18 has no function for: pieces, what is gone, and the hardware."""


def functions() -> str:
    """Kernel file, model file, functions."""
    for module in pkgutil.walk_packages(refault.linux.__path__, "refault.linux."):
        importlib.import_module(module.name)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for modelled in modelled_functions():
        if modelled.function.__module__.startswith("refault.linux."):
            found[modelled.file, _path(modelled.function)].append(modelled.name)
    return _table(
        ("in the kernel", "in the model", "functions"),
        (
            (f"`{file}`", _link(path), ", ".join(map(_marked, sorted(names, key=_bare))))
            for (file, path), names in sorted(found.items())
        ),
    )


def _bare(name: str) -> str:
    return name.strip("_")


def _marked(name: str) -> str:
    return f"`{name}`{'†' * (name in PIECES)}"


def _path(function: Callable[..., Any]) -> str:
    file = inspect.getsourcefile(function)
    assert file is not None
    return str(Path(file).relative_to(PACKAGE))


def _link(path: str) -> str:
    return f"[{path}](../src/refault/linux/{path})"


def patch_table() -> str:
    """What each patch is, where it came from, and what it replaces."""
    return _table(
        ("name", "kind", "since", "commit", "title", "source", "replaces"),
        (
            (
                f"`{p.name}`",
                p.kind,
                p.since,
                f"`{p.commit}`" if p.commit else "",
                p.title,
                p.source,
                ", ".join(f"`{name}`" for name in p.replaces),
            )
            for p in sorted(patches.all_patches().values(), key=lambda p: (p.kind, p.name))
            if p in _own_patches()
        ),
    )


def _own_patches() -> list[Any]:
    from refault.patches.own import refault_patches  # noqa: PLC0415

    return refault_patches()


def hooks() -> str:
    """What a plug-in can implement."""
    rows = (
        (f"`{name}()`", _first_line(hook))
        for name, hook in vars(plugins.Hooks).items()
        if inspect.isfunction(hook)
    )
    return _table(("hook", "returns"), rows)


def handles() -> str:
    """What a scenario can do, from the docstrings of what it is given."""
    shown = {"k": Kernel, "k.mm()": AddressSpace, "page": Page, "uffd": UserFaultFd}
    rows = (
        (f"`{name}.{_signature(method)}`", _first_line(method))
        for name, cls in shown.items()
        for method in vars(cls).values()
        if inspect.isfunction(method) and not method.__name__.startswith("_")
    )
    return _table(("in a scenario", "what it is"), rows)


def _signature(function: Callable[..., Any]) -> str:
    """How a function is called, as its source has it, without types."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    for argument in (*tree.args.args, *tree.args.kwonlyargs):
        argument.annotation = None
    del tree.args.args[0]
    return f"{tree.name}({ast.unparse(tree.args)})".replace("|", "\\|")


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0].replace("``", "`")


def missing() -> str:
    """Each place that raises ``NotModelled``."""
    rows = sorted(
        (path, where, what)
        for file in PACKAGE.rglob("*.py")
        for path in [str(file.relative_to(PACKAGE))]
        for where, what in _raised(ast.parse(file.read_text()))
    )
    return _table(
        ("what", "where"), ((what, f"`{where}()`, {_link(path)}") for path, where, what in rows)
    )


def _raised(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            match node:
                case ast.Raise(
                    exc=ast.Call(
                        func=ast.Name(id="NotModelled"), args=[ast.Constant(value=str(what)), *_]
                    )
                ):
                    yield function.name, what


RELEASES = {
    "v2, as posted in 2018": "with hmm_release_v2",
    "a list of its own, as proposed": "with hmm_release_splice",
    "one by one, 4.17 to 5.2": "without hmm_release_read",
    "locked for reading, 5.3 and 5.4": "",
}
STORIES = {
    "drivers drain": "hmm-release-drains",
    "one unregisters, and frees": "hmm-release-and-unregister",
    "both, with a lock of the device": "hmm-release-unregister-and-work",
    "mirrors keep coming": "hmm-release-while-mirrors-keep-coming",
}
OWN = {
    "a notifier of the driver's own": "notifier-release-drains",
    "an interval notifier, 5.5": "interval-driver-ends-at-any-time",
}
"""Designs in which there is no list of mirrors; either story has all of them at once."""


def releases() -> str:
    """What becomes of each way to release the mirrors of a process."""
    rows = [
        (design, *(_found(story, variant) for story in STORIES.values()))
        for design, variant in RELEASES.items()
    ]
    rows += [(design, *(_found(story, ""),) * 3, "no list") for design, story in OWN.items()]
    return _table(("release", *STORIES), rows)


def _found(story: str, variant: str) -> str:
    kind = scenarios.find(story).check(variant, time=60)
    return " + ".join(sorted(kind.kinds)) or kind.kind


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _gpu(contention: Contention) -> Callable[[], str]:
    """What comes of faults on memory of GPUs when signals come."""

    def table() -> str:
        head, *rows = gpu.by_driver(contention)
        return _table(head, rows)

    return table


def gpu_2018() -> str:
    """The same, of the drivers and the kernel of the time."""
    head, *rows = gpu.by_driver(Contention.UNTIL_BACK, gpu.THEN, "4.16")
    return _table(head, rows)


def gpu_repairs() -> str:
    """What was proposed against it."""
    head, *rows = gpu.by_repair()
    return _table(head, rows)


def gup_callers() -> str:
    """What a signal makes of each caller of GUP, by where its page is."""
    rows = ((caller, *(_signalled(caller, place) for place in PLACES)) for caller in CALLERS)
    return _table(("caller", *PLACES), rows)


def _signalled(caller: str, place: str) -> str:
    """SIGUSR1; what the flag would change; and SIGKILL, where it does not kill."""
    as_it_is = outcome(caller, place, SIGUSR1)
    with_flag = outcome(caller, place, SIGUSR1, FLAG)
    killed = outcome(caller, place, SIGKILL)
    parts = [_or(as_it_is)]
    if with_flag != as_it_is:
        parts.append(f"flag: {_or(with_flag)}")
    if killed != ("dies",):
        parts.append(f"killed: {_or(killed)}")
    return "; ".join(parts)


def _or(outcomes: tuple[str, ...]) -> str:
    return " or ".join(f"`{o}`" if o.lstrip("-")[0] in "E0123456789" else o for o in outcomes)


def signal_table() -> str:
    """What a signal makes of each way to reach for a page that userfaultfd is to bring."""
    return _table(signals.HEAD, signals.rows())


def refused_table() -> str:
    """What system calls make of a buffer that the kernel is refused."""
    return _table(refused.HEAD, refused.rows())


TABLES: dict[str, Callable[[], str]] = {
    "gpu_nobody": _gpu(Contention.NONE),
    "gpu_some_time": _gpu(Contention.SOME_TIME),
    "gpu_until_back": _gpu(Contention.UNTIL_BACK),
    "gpu_2018": gpu_2018,
    "gpu_repairs": gpu_repairs,
    "functions": functions,
    "patches": patch_table,
    "hooks": hooks,
    "handles": handles,
    "missing": missing,
    "releases": releases,
    "gup_callers": gup_callers,
    "live_allowed": live_tables.live_allowed,
    "live_forbidden": live_tables.live_forbidden,
    "live_probe": live_tables.live_probe,
    "live_tests": live_tables.live_tests,
    "function_order": order.order,
    "function_differences": order.differences,
    "function_names": order.names,
    "function_grain": order.grain,
    "signals": signal_table,
    "refused": refused_table,
}
