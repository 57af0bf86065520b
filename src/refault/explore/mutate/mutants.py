"""Which mutations a program offers: one for each thing that a person would drop."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from ..operation import function_key
from ..where import short
from .delays import Delay, Stale
from .executed import READ, WRITE, Executed, Occurrence
from .mutation import Mutation, Site
from .omissions import Blind, Drop, DropLock, DropWait, Split, operation_keys
from .sites import Chain

_NONE = frozenset({(type(None), None)})
_BOOL = frozenset({(bool, False), (bool, True)})


class Group(NamedTuple):
    """Occurrences that are one thing in the source: the same operation at the same place."""

    calls: Chain
    members: tuple[Occurrence, ...]

    @property
    def sites(self) -> frozenset[Site]:
        """Where it is."""
        return frozenset(Site.of(self.calls, m.op.name) for m in self.members)


def mutations(executed: Executed) -> list[Mutation]:
    """All mutations of what has been executed, kind by kind, as the tasks come to them."""
    found = list(_Mutations(executed).all())
    count = Counter((m.name, m.place) for m in found)
    return [m if count[m.name, m.place] == 1 else _told_apart(m) for m in found]


def _told_apart(mutation: Mutation) -> Mutation:
    """Name the operation too, where one call does several of them to one cell."""
    operations = ", ".join(sorted({site.op for site in mutation.sites}))
    return replace(mutation, what=f"{mutation.what}: {operations}")


class _Mutations:
    def __init__(self, executed: Executed) -> None:
        self._executed = executed
        by_place: dict[tuple[Chain, str], list[Occurrence]] = defaultdict(list)
        for seen in executed.occurrences:
            by_place[executed.place(seen), seen.op.name].append(seen)
        self._groups = [Group(calls, tuple(found)) for (calls, _), found in by_place.items()]
        self._locking = [g for g in self._groups if any(self._takes(m) for m in g.members)]

    def all(self) -> Iterator[Mutation]:
        """Yield kind by kind."""
        yield from self._locks()
        for make in (self._writes, self._waits, self._rechecks, self._orders):
            for group in self._groups:
                yield from make(group)
        yield from self._blocks()

    def _about(self, groups: Iterable[Group], **more: Any) -> dict[str, Any]:
        """What every mutation says of itself."""
        groups = sorted(groups, key=lambda g: g.calls[-1].line)
        owner = groups[0].calls[-1]
        members = [m for g in groups for m in g.members]
        cells = sorted({m.op.cell.name for m in members})
        return {
            "function": owner.name,
            "what": f"{_called(groups[0])}({pattern(cells)})",
            "place": f"{short(owner.file)}:{owner.line}",
            "sites": frozenset(s for g in groups for s in g.sites),
            "cells": frozenset(cells),
            "tasks": tuple(sorted({m.task for m in members})),
            **more,
        }

    def _locks(self) -> Iterator[Mutation]:
        for groups in _joined(self._locking):
            groups += [g for g in self._groups if any(self._helps(g, t) for t in groups)]
            cells = {m.op.cell.index for g in groups for m in g.members}
            users = {t for c in cells for t in self._executed.users[c]}
            remark = f"only {min(users)} uses it" if len(users) == 1 else ""
            yield DropLock(
                **self._about(groups, remark=remark),
                results=tuple((s, self._result(g)) for g in groups for s in g.sites),
                releases=self._releases(cells),
            )

    def _releases(self, cells: set[int]) -> frozenset[Hashable]:
        """What gives these locks back: a function, or where it also takes them, a call of it."""
        seen = [s for s in self._executed.occurrences if s.op.cell.index in cells]
        takes = {function_key(s.op.fn) for s in seen if self._takes(s)}
        gives = [s.op for s in seen if self._executed.role(s.op, s.task).gives]
        calls = [operation_keys(op) for op in gives]
        return frozenset(call if fn in takes else fn for fn, call in calls)

    def _takes(self, seen: Occurrence) -> bool:
        return self._executed.role(seen.op, seen.task).takes

    def _result(self, group: Group) -> Any:
        """What an acquisition returns when it succeeds; what a part of one returns at all."""
        for m in group.members:
            for result in self._executed.role(m.op, m.task).results:
                return result
        results = {r for m in group.members for r in self._executed.effect(m.op).results}
        return next(iter(results))[1] if len(results) == 1 else None

    def _results(self, group: Group) -> frozenset[Any]:
        return frozenset(r for m in group.members for r in self._executed.effect(m.op).results)

    def _writes(self, group: Group) -> Iterator[Mutation]:
        effects = [self._executed.effect(m.op) for m in group.members]
        results = self._results(group)
        if not self._plain(group) or not any(e.changes for e in effects):
            return
        if results and (results <= _NONE or results <= _BOOL):
            result = None if results <= _NONE else False
            yield Drop(**self._about([group]), result=result)

    def _plain(self, group: Group) -> bool:
        """Whether it is about what tasks share, and not a lock."""
        shared = any(self._executed.shared(m.op.cell, m.task) for m in group.members)
        return shared and all(m.op.cell.holders is None for m in group.members)

    def _waits(self, group: Group) -> Iterator[Mutation]:
        waits = all(m.op.reads for m in group.members) and self._blocks_at(group)
        if waits and not any(self._helps(group, lock) for lock in self._locking):
            yield DropWait(**self._about([group]))

    def _blocks_at(self, group: Group) -> bool:
        return any(self._executed.effect(m.op).blocks for m in group.members)

    def _helps(self, part: Group, whole: Group) -> bool:
        """Whether an operation is the second half of an acquisition: the wait after queueing."""
        cells = {m.op.cell for m in whole.members}
        inner, outer = whole.calls[0], whole.calls[1:]
        same = part.calls[0].function == inner.function and part.calls[1:] == outer
        near = same and part is not whole and any(m.op.cell in cells for m in part.members)
        return near and self._blocks_at(part)

    def _rechecks(self, group: Group) -> Iterator[Mutation]:
        looks = all(m.op.reads and m.op.name in ("read", "peek") for m in group.members)
        changing = any(self._executed.changers[m.op.cell.index] - {m.task} for m in group.members)
        if not looks or not changing:
            return
        results = self._results(group)
        if len(results) > 1:
            yield Stale(**self._about([group]))
        if results == _BOOL and all(m.op.name == "peek" for m in group.members):
            for answer in (True, False):
                yield Blind(**self._about([group]), result=answer)

    def _orders(self, group: Group) -> Iterator[Mutation]:
        known: list[frozenset[Site]] = []
        for way in (READ, WRITE):
            after = [t for m in group.members for t in self._executed.behind(m, way)]
            targets = [Group(self._executed.place(t), (t,)) for t in after]
            sites = frozenset(s for g in targets for s in g.sites)
            if sites and sites not in known:
                known.append(sites)
                yield Delay(**self._about([group]), before=_listed(targets), targets=sites)

    def _blocks(self) -> Iterator[Mutation]:
        for call, cells in self._executed.blocks.items():
            names = sorted(self._executed.program.cells[c].name for c in cells)
            yield Split(
                function=call.name,
                what=f"atomic({pattern(names)})",
                place=f"{short(call.file)}:{call.line}",
                sites=frozenset({Site.of((call,), "atomic")}),
                cells=frozenset(names),
                tasks=(),
            )


def _called(group: Group) -> str:
    """What the owner calls: an accessor, or the operation itself."""
    return group.calls[-2].name if len(group.calls) > 1 else group.members[0].op.name


def _listed(groups: list[Group]) -> str:
    named: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        named[_called(group)] += [m.op.cell.name for m in group.members]
    return " or ".join(f"{name}({pattern(cells)})" for name, cells in sorted(named.items()))


def _joined(groups: list[Group]) -> list[list[Group]]:
    """Acquisitions in one function go together if they are of one lock or in one place."""
    found: list[list[Group]] = []
    for group in groups:
        alike = [known for known in found if any(_same_lock(group, other) for other in known)]
        found = [known for known in found if known not in alike]
        found.append([g for known in alike for g in known] + [group])
    return found


def _same_lock(one: Group, other: Group) -> bool:
    if one.calls[-1].function != other.calls[-1].function:
        return False
    cells = {m.op.cell for m in one.members}
    return one.calls == other.calls or any(m.op.cell in cells for m in other.members)


def pattern(names: Iterable[str]) -> str:
    """One name for several: ``pfn*.data`` if they differ in numbers, ``*.state`` in the object."""
    alike: dict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[re.sub(r"0x[0-9a-f]+|\d+", "*", name)].add(name)
    texts = sorted(p if len(of) > 1 else min(of) for p, of in alike.items())
    fields = {name.rpartition(".")[2] for name in texts}
    if len(texts) > 1 and len(fields) == 1 and all("." in name for name in texts):
        return f"*.{fields.pop()}"
    return ", ".join(texts[:3] + ["..."] * (len(texts) > 3))
