"""The hub's life. What it brings to watchers is tested with a real Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from knossos.live.channel import TURN, Channel
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


def announcement(before: str, event_id: str, text: str, ticket: int = 1) -> str:
    return f'{ticket} {before} {event_id} 1 log {{"level": "INFO", "text": "{text}"}}'


def watched_channel(hub: Hub) -> tuple[Channel, list[bytes]]:
    """Task 1, of which somebody has been told everything up to 5-0; and what that client is sent."""
    sent: list[bytes] = []

    class Client(FakeSocket):
        def write_frames(self, data: bytes) -> asyncio.Future[None] | None:
            sent.append(data)
            return super().write_frames(data)

    channel = hub._channels["1"] = Channel(1)
    channel.cursor, channel.opened = "5-0", True
    channel.live.add(Watcher(Client(), 1))
    return channel, sent


def test_an_event_that_comes_with_its_announcement_is_told_without_a_look_into_the_stream() -> None:
    async def work() -> None:
        hub = Hub("redis://127.0.0.1:1/0")
        channel, sent = watched_channel(hub)
        # What stood before 7-0 may have been removed since: then the stream's last entry is an older one.
        hub._woken(announcement("5-0", "6-0", "one"))
        hub._woken(announcement("4-0", "7-0", "two"))
        assert [b"one" in sent[0], b"two" in sent[1]] == [True, True]
        # A read was quicker than these.
        hub._woken(announcement("6-0", "7-0", "two"))
        hub._woken(announcement("4-0", "5-0", "none"))
        assert len(sent) == 2
        assert (channel.cursor, channel.unread) == ("7-0", False)

    asyncio.run(work())


@pytest.mark.parametrize(
    "announced",
    [
        announcement("6-0", "7-0", "one is missing before it"),
        "1",
        "1 ",
        "1 5-0 6-0",
        "1 5-0 x 1 log {}",
        "1 x 6-0 1 log {}",
        "1 -5-0 6-0 1 log {}",
    ],
)
def test_any_other_announcement_has_the_stream_read(announced: str) -> None:
    async def work() -> None:
        hub = Hub("redis://127.0.0.1:1/0")
        channel, sent = watched_channel(hub)
        hub._woken(announced)
        assert (channel.cursor, channel.unread, sent) == ("5-0", True, [])

    asyncio.run(work())


def test_what_a_read_brings_that_was_told_meanwhile_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        hub = Hub("redis://127.0.0.1:1/0")
        channel, sent = watched_channel(hub)

        async def ask(*command: Any) -> Any:
            assert command[-1] == "5-0"
            hub._woken(announcement("5-0", "6-0", "one"))
            data = ["type", "log", "data", '{"level": "INFO", "text": "%s"}']
            entries = [[f"{number}-0", [*data[:3], data[3] % text]] for number, text in ((6, "one"), (7, "two"))]
            return [[channel.key, entries]]

        monkeypatch.setattr(hub, "ask", ask)
        await hub._read([channel])
        assert [data.count(b"one") for data in sent] == [1, 0]
        assert [data.count(b"two") for data in sent] == [0, 1]
        assert channel.cursor == "7-0"

    asyncio.run(work())


def test_batches_for_many_watchers_do_not_overtake_each_other() -> None:
    async def work() -> None:
        hub = Hub("redis://127.0.0.1:1/0")
        channel, _ = watched_channel(hub)
        watchers = [Watcher(FakeSocket(), 1) for _ in range(TURN + 1)]
        channel.live.update(watchers)
        hub._woken(announcement("5-0", "6-0", "one"))
        # Both while the first is being sent: an announcement, and what a read has brought.
        hub._woken(announcement("6-0", "7-0", "two"))
        hub._deliver(channel, [["7-0", ["type", "log", "data", "{}"]]])
        assert (channel.cursor, channel.unread, channel.busy) == ("6-0", True, True)
        while channel.busy:
            await asyncio.sleep(0)
        assert {watcher.after for watcher in watchers} == {"6-0"}
        assert hub._unread == {"1": channel}

    asyncio.run(work())
