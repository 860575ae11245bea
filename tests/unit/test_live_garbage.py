"""When the WebSocket server looks for reference cycles."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from knossos.live import garbage


class Knot:
    """An object that only a search for cycles frees."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(garbage, "PAUSE_SECONDS", 0.001)
    yield
    gc.unfreeze()


def while_collecting(work: Callable[[], object], done: Callable[[], bool]) -> None:
    async def collect() -> None:
        collecting = asyncio.create_task(garbage.collect())
        await asyncio.sleep(0.01)
        assert not gc.isenabled()
        work()
        async with asyncio.timeout(20):
            while not done():
                await asyncio.sleep(0.001)
        collecting.cancel()
        await asyncio.wait([collecting])

    asyncio.run(collect())


def test_what_is_new_and_unused_is_freed_soon_and_python_goes_on_by_itself_afterwards() -> None:
    knots: list[weakref.ref[Knot]] = []
    while_collecting(lambda: knots.append(weakref.ref(Knot())), lambda: knots[0]() is None)
    assert gc.isenabled()


def test_what_has_grown_old_is_freed_once_there_is_twice_as_much_as_before() -> None:
    held: list[Knot] = []
    ballast: list[list[int]] = []
    freed: list[int] = []

    def grow_old() -> None:
        held.append(Knot())
        weakref.finalize(held[0], freed.append, 1)
        gc.collect()
        held.clear()

    def freed_by_growth() -> bool:
        ballast.append([number + 1000 for number in range(100_000)])
        return bool(freed)

    while_collecting(grow_old, freed_by_growth)
    assert sum(map(len, ballast)) >= 200_000
