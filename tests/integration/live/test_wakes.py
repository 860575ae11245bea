"""The connection on which announcements come: a real Redis, and others that are none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from knossos.live import wakes as wakes_module
from knossos.live.wakes import Wakes

CHANNEL = "test:announcements"


class Ears:
    """What a listener calls, and what it was told."""

    def __init__(self, url: str, on_wake: Callable[[str], None] | None = None) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.connected: asyncio.Queue[None] = asyncio.Queue()
        self.wakes = Wakes(url, CHANNEL, on_wake or self.heard.put_nowait, lambda: self.connected.put_nowait(None))

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.wakes.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(work, 30)

    asyncio.run(limited())


def test_announcements_come_in_order_also_where_one_comes_in_pieces(redis_url: str) -> None:
    texts = [f"{number} {'ä' * (number * 4_000)}" for number in range(50)]

    async def work() -> None:
        ears = Ears(redis_url)
        async with ears.listening():
            await ears.connected.get()
            with redis.Redis.from_url(redis_url) as client:
                await asyncio.to_thread(lambda: [client.publish(CHANNEL, text) for text in texts])
            assert [await ears.heard.get() for _ in texts] == texts

    run(work())


def test_a_connection_that_is_cut_off_is_opened_again_and_that_is_told(redis_url: str) -> None:
    async def work() -> None:
        ears = Ears(redis_url)
        async with ears.listening():
            with redis.Redis.from_url(redis_url) as client:
                for number in range(3):
                    await ears.connected.get()
                    client.publish(CHANNEL, str(number))
                    assert await ears.heard.get() == str(number)
                    client.client_kill_filter(_type="pubsub")

    run(work())


def test_what_fails_in_whoever_is_woken_ends_the_listener_with_it(redis_url: str) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError

    async def work() -> None:
        ears = Ears(redis_url, fail)
        async with ears.listening() as task:
            await ears.connected.get()
            with redis.Redis.from_url(redis_url) as client:
                client.publish(CHANNEL, "x")
            with pytest.raises(ZeroDivisionError):
                await task

    run(work())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="what is not Redis"),
        pytest.param(b"-NOPERM this user may not\r\n", id="a refusal"),
    ],
)
def test_a_server_that_does_not_let_us_listen_is_asked_again(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakes_module, "PING_SECONDS", 0.02)
    monkeypatch.setattr(wakes_module, "SILENCE_SECONDS", 0.1)

    async def work() -> None:
        subscribed: asyncio.Queue[None] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    if b"SUBSCRIBE" in data:
                        subscribed.put_nowait(None)
                        writer.write(answer)
                    elif b"PING" not in data:
                        writer.write(b"+OK\r\n" * data.count(b"*"))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        ears = Ears(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        async with server, ears.listening() as task:
            for _ in range(3):
                await subscribed.get()
            assert not task.done()
            assert ears.connected.empty()

    run(work())
