"""Getting and reading all files of a request, several side by side, reading while others still download.

Owns the order and the threads, not what is done in them. A file that fails does not hold up the others: all failures
come back. Anything that is no ``KnossosError`` (a cancelled job, a bug) ends all work at once and is raised.
A single file is worked on without any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from knossos.errors import KnossosError
from knossos.packaging.conversion.errors import FileFailure
from knossos.packaging.conversion.items import Bundle, Item, Key

#: Seconds between two looks whether the job was cancelled while nothing else happens.
CHECK_SECONDS = 0.5

Got = TypeVar("Got")
Read = TypeVar("Read")


class Stopped(BaseException):
    """Another file's work has ended the job. Not an ``Exception``, so that nobody takes it for the file's failure."""


class StopSignal:
    """A check for threads: like the job's own, but it also ends them when the main thread has given up."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._stopped = threading.Event()

    def set(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        if self._stopped.is_set():
            raise Stopped
        self._check()


@dataclass
class Outcome(Generic[Got, Read]):
    """What was got for each file, what was read of each bundle (by its first file), and what failed."""

    got: dict[Key, Got] = field(default_factory=dict)
    read: dict[Key, Read] = field(default_factory=dict)
    failures: list[FileFailure] = field(default_factory=list)


def work_through(
    bundles: Sequence[Bundle],
    *,
    obtain: Callable[[Item], Got],
    inspect: Callable[[Bundle, Sequence[Got]], Read],
    on_failure: Callable[[FileFailure], None],
    signal: StopSignal,
    downloads: int,
    inspections: int,
) -> Outcome[Got, Read]:
    """Obtain every file and inspect every bundle whose files could all be obtained.

    Args:
        on_failure: is told of each failure as it happens.
        signal: its check runs in ``obtain`` and ``inspect``, and here; it stops them when this function ends early.
        downloads, inspections: how many may run side by side.
    """
    outcome: Outcome[Got, Read] = Outcome()

    def failed(item: Item, error: KnossosError) -> None:
        failure = FileFailure(item, error)
        outcome.failures.append(failure)
        on_failure(failure)

    if len(bundles) == 1 and len(bundles[0].items) == 1:
        (bundle,), item = bundles, bundles[0].first
        try:
            outcome.got[item.key] = obtain(item)
            outcome.read[item.key] = inspect(bundle, [outcome.got[item.key]])
        except KnossosError as error:
            failed(item, error)
        return outcome

    bundle_of = {item.key: bundle for bundle in bundles for item in bundle.items}
    obtaining: dict[Future[Got], Item] = {}
    inspecting: dict[Future[Read], Bundle] = {}
    with _threads(downloads, "download", signal) as getters, _threads(inspections, "inspect", signal) as readers:
        for item in sorted((item for bundle in bundles for item in bundle.items), key=lambda item: item.key):
            obtaining[getters.submit(obtain, item)] = item
        while obtaining or inspecting:
            pending: list[Future[Any]] = [*obtaining, *inspecting]
            ended, _ = wait(pending, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED)
            signal.check()
            for future in ended:
                if future in obtaining:
                    item = obtaining.pop(future)
                    try:
                        outcome.got[item.key] = future.result()
                    except KnossosError as error:
                        failed(item, error)
                        continue
                    bundle = bundle_of[item.key]
                    if all(part.key in outcome.got for part in bundle.items):
                        parts = [outcome.got[part.key] for part in bundle.items]
                        inspecting[readers.submit(inspect, bundle, parts)] = bundle
                else:
                    bundle = inspecting.pop(future)
                    try:
                        outcome.read[bundle.first.key] = future.result()
                    except KnossosError as error:
                        failed(bundle.first, error)
    outcome.failures.sort(key=lambda failure: failure.item.key)
    return outcome


@contextmanager
def _threads(count: int, name: str, signal: StopSignal) -> Iterator[ThreadPoolExecutor]:
    """Threads that are told to stop when the block ends with an exception, and are gone when it is left."""
    pool = ThreadPoolExecutor(count, name)
    try:
        yield pool
    except BaseException:
        signal.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
