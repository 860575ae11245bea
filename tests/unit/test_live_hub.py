"""The hub's life. What it brings to watchers is tested with a real Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from knossos.live.channel import Channel
from knossos.live.hub import Hub
from knossos.live.messages import BEGINNING
from knossos.live.watcher import Watcher
from tests.unit.test_live_rules import FakeSocket


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


@pytest.mark.parametrize(
    ("end", "goes_on_after"), [("9-0", "7-0"), ("7-0", "7-0"), ("6-0", BEGINNING), ("", BEGINNING)]
)
def test_who_is_ahead_of_the_channel_waits_for_it_unless_there_never_was_such_an_event(
    monkeypatch: pytest.MonkeyPatch, end: str, goes_on_after: str
) -> None:
    """A page that polled has read events that this server has not: it must not be told them again."""
    hub, channel = Hub("redis://127.0.0.1:1/0"), Channel(1)
    channel.cursor = "5-0"

    async def ask(*command: Any) -> Any:
        return [[end, []]] if end else []

    def mark(marked: Channel) -> None:
        marked.cursor = "6-0" if marked.cursor == "5-0" else "7-0"

    monkeypatch.setattr(hub, "ask", ask)
    monkeypatch.setattr(hub, "_mark", mark)
    watcher = Watcher(FakeSocket(), 1, after="7-0")
    asyncio.run(hub._catch_up_with(watcher, channel))
    assert watcher.after == goes_on_after
    assert channel.cursor == ("7-0" if goes_on_after == "7-0" else "5-0")
