"""The hub's life. What it brings to watchers is tested with a real Redis."""

from __future__ import annotations

import asyncio

import pytest

from knossos.live.hub import Hub


def test_the_hub_stops_even_where_a_library_swallows_the_first_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    swallowed = []

    async def deaf(hub: Hub) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.append(True)
        await asyncio.Event().wait()

    async def work() -> None:
        monkeypatch.setattr(Hub, "_pump", deaf)
        following = asyncio.create_task(Hub("redis://127.0.0.1:1/0").run())
        await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.wait([following], timeout=10)
        assert following.cancelled()
        assert swallowed

    asyncio.run(work())


def test_the_hub_ends_with_the_error_of_a_work_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(hub: Hub) -> None:
        raise ValueError("a mistake of ours")

    async def work() -> None:
        monkeypatch.setattr(Hub, "_sweep", broken)
        with pytest.raises(ValueError, match="mistake"):
            await Hub("redis://127.0.0.1:1/0").run()

    asyncio.run(work())
