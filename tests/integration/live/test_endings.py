"""Clients that do not read or read slowly, and how sockets are closed."""

from __future__ import annotations

import asyncio

import pytest

from knossos.live import hub as hub_module
from knossos.live import watcher as watcher_module
from knossos.settings import Settings
from tests.support.live import deaf_client, live_server, run, wait_for, watched
from tests.support.scenes import PlayedJob


def test_the_socket_is_closed_soon_after_the_end_and_not_before_the_client_had_time(
    settings: Settings, job: PlayedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "GRACE_SECONDS", 0.2)

    async def work() -> None:
        async with live_server(settings) as server:
            live = await server.watch(job.ticket, job.token)
            await server.until_live(1)
            job.succeed()
            done_id = job.engine.events(job.ticket)[-1].id
            late = await server.watch(job.ticket, job.token)
            after = await server.watch(job.ticket, job.token, after=done_id)
            for client in (live, late, after):
                assert await client.until_closed() == 1000
            assert live.events == late.events == ["done"]
            assert after.events == []

    run(work)


def test_a_client_that_does_not_read_is_dropped_and_the_others_get_everything(
    settings: Settings, job: PlayedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "MOST_PENDING_BYTES", 64 * 1024)

    async def work() -> None:
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            reading = asyncio.create_task(client.until_line("the end"))
            async with deaf_client(server, job):
                await server.until_live(2)
                watchers = next(iter(server.hub._channels.values())).live
                written = 0
                while not any(watcher.closed for watcher in watchers) and written < 20_000:
                    for _ in range(50):
                        await asyncio.to_thread(job.log, "x" * 4000)
                    written += 50
                    assert max(watcher._pending for watcher in watchers) < 64 * 1024 + 100 * 4200
                assert [watcher.closed for watcher in watchers].count(True) == 1
                job.log("the end")
                await reading
                assert len(client.lines) == written + 1
                # The one that does not answer the closing either is cut off.
                await wait_for(lambda: server.hub.watchers == 1)

    run(work)


def test_a_slow_reader_of_a_long_log_is_waited_for(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        for _ in range(600):
            job.log("x" * 4000)
        job.succeed()
        async with live_server(settings) as server, deaf_client(server, job) as reader:
            await wait_for(lambda: server.hub.watchers == 1)
            await asyncio.sleep(0.3)
            (watcher,) = server.hub._everyone
            assert watcher._pending < 2 * hub_module.REPLAY_EVENTS * 4100
            received = 0
            while received < 600 * 4000:
                received += len(await reader.read(4096))
            assert not watcher.closed

    run(work)


def test_when_the_server_stops_clients_are_told_to_come_back(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with watched(settings, job) as (server, client):
            server.hub.close()
            assert await client.until_closed() == 1001

    run(work)
