"""Workers on Ray: one actor a core. Ray itself is loaded when a search asks for it."""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import UserError
from .cluster import Lost
from .exploration import Build
from .worker import Done, Unit, Worker

LOCAL = "local"
"""The address that stands for this machine alone."""


def load_ray() -> Any:
    """The module; ``UserError`` says how to get it."""
    try:
        return importlib.import_module("ray")
    except ImportError as e:
        raise UserError("a cluster takes Ray", "pip install 'refault[ray]'") from e


def pickled(ray: Any, build: Build) -> bytes:
    """``build`` for another machine, with the code of modules that it could not import."""
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if "." in name or not origin.endswith(".py"):
            continue
        if importlib.machinery.PathFinder.find_spec(name) is None:
            ray.cloudpickle.register_pickle_by_value(module)
    return ray.cloudpickle.dumps(build)  # type: ignore[no-any-return]


class Actor:
    """A worker as Ray knows it."""

    def __init__(self, build: bytes, path: list[str]) -> None:
        sys.path[:] = [*path, *(p for p in sys.path if p not in path)]
        ray = load_ray()
        self._worker = Worker(ray.cloudpickle.loads(build), ray.get)

    def work(self, unit: Unit) -> Done:
        """See ``Worker``."""
        return self._worker.work(unit)

    def process(self) -> int:
        """The number of the process."""
        return os.getpid()


class RayCrew:
    """As many actors as there are to be; a dead one is replaced when it is given work."""

    def __init__(self, ray: Any, build: Build, size: int) -> None:
        self.size = size
        self._ray = ray
        self._build = ray.put(pickled(ray, build))
        self._make = ray.remote(Actor).options(num_cpus=1)
        self.actors = [self._start() for _ in range(size)]
        self._answers: dict[Any, int] = {}
        self._ready: dict[int, Any] = {}

    def _start(self) -> Any:
        return self._make.remote(self._build, sys.path)

    def put(self, data: bytes) -> Any:
        """See ``Crew``."""
        return self._ray.put(data)

    def submit(self, worker: int, unit: Unit) -> None:
        """See ``Crew``."""
        self._answers[self.actors[worker].work.remote(unit)] = worker

    def wait(self, seconds: float) -> list[int]:
        """See ``Crew``."""
        done, _ = self._ray.wait(list(self._answers), num_returns=1, timeout=seconds)
        self._ready = {self._answers.pop(answer): answer for answer in done}
        return list(self._ready)

    def answer(self, worker: int) -> Done:
        """See ``Crew``."""
        try:
            return self._ray.get(self._ready.pop(worker))  # type: ignore[no-any-return]
        except self._ray.exceptions.RayTaskError as e:
            if isinstance(e.cause, UserError):
                raise e.cause from None
            raise
        except self._ray.exceptions.RayActorError as e:
            self.actors[worker] = self._start()
            raise Lost(str(e)) from e

    def abandon(self) -> None:
        """See ``Crew``."""
        self._answers.clear()
        self._ready.clear()

    def close(self) -> None:
        """End the actors."""
        for actor in self.actors:
            self._ray.kill(actor)


def _reach(address: str) -> None:
    """Fail at once where nobody answers: Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as e:
        raise _unreachable(address, e) from e


def _unreachable(address: str, error: Exception) -> UserError:
    remedy = f"start one with `ray start --head`, or say {LOCAL!r}"
    return UserError(f"no Ray cluster at {address!r}: {error}", remedy)


@contextmanager
def ray_crew(build: Build, address: str, jobs: int | None) -> Iterator[RayCrew]:
    """A crew of so many workers (all cores of the cluster) at an address, or on this machine."""
    ray = load_ray()
    mine = not ray.is_initialized()
    if mine:
        _reach(address)
        try:
            ray.init(
                address=None if address == LOCAL else address,
                num_cpus=jobs if address == LOCAL else None,
                include_dashboard=False if address == LOCAL else None,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, ValueError, RuntimeError) as e:
            raise _unreachable(address, e) from e
    try:
        size = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        crew = RayCrew(ray, build, size)
        try:
            yield crew
        finally:
            crew.close()
    finally:
        if mine:
            ray.shutdown()
