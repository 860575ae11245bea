"""Announcements that are lost, doubled, late or rubbish, events that are none, and what Redis is asked for."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from knossos.jobs import Engine, keys, scripts
from knossos.live import hub as hub_module
from knossos.live.hub import Hub
from knossos.settings import Settings
from tests.support.live import live_server, run, wait_for, watched
from tests.support.redis_server import RedisServer
from tests.support.scenes import PlayedJob


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """All streams are read again five times a second."""
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.2)


def test_publishing_rubbish_does_not_end_the_listener(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with watched(settings, job) as (_, client):
            listener = listening(job.engine)
            broken = b"%d 0-0 9-9 1 log {" % job.ticket
            for rubbish in (b"", b"x", b"\xff\xfe", b"-1", b"1" * 10_000, b"\x00", b'{"a": 1}', b"17 ", broken):
                job.engine.redis.publish(keys.WAKE, rubbish)
                job.engine.redis.publish("knossos:other", rubbish)
            job.log("on")
            await client.until_line("on")
            assert listening(job.engine) == listener

    run(work)


def listening(engine: Engine) -> list[str]:
    """The connections of Redis that listen."""
    return [client["id"] for client in engine.redis.client_list() if int(client["sub"])]


def test_an_entry_that_is_no_event_is_passed_over(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        def rubbish() -> None:
            key = keys.events(job.ticket)
            job.engine.redis.xadd(key, {"foo": "bar"})
            job.engine.redis.xadd(key, {"type": "log", "data": "{"})
            job.engine.redis.xadd(key, {"type": "log", "data": "[" * 5000})
            job.engine.redis.xadd(key, {"type": "log", "data": "[1]"})
            job.engine.redis.xadd(key, {"type": b"\xff", "data": "{}"})
            job.engine.redis.xadd(key, {"type": "log", "data": '{"text": "\\ud800"}', "line": "x"})

        async with live_server(settings) as server:
            rubbish()
            client = await server.watch(job.ticket, job.token)
            await server.until_live(1)
            rubbish()
            job.log("on")
            await client.until_line("on")
            assert client.lines == ["on"]

    run(work)


@pytest.mark.usefixtures("quick_sweeps")
def test_a_lost_announcement_is_made_up_for(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with watched(settings, job) as (_, client):
            data = json.dumps({"level": "INFO", "text": "unannounced"})
            job.engine.redis.xadd(keys.events(job.ticket), {"type": "log", "data": data, "line": 1})
            await client.until_line("unannounced")

    run(work)


def test_short_events_reach_their_watcher_without_another_read(
    settings: Settings, job: PlayedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 3600)

    async def work() -> None:
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token, after="0-0")
            await server.until_live(1)
            await wait_for(lambda: not server.hub._unread)
            asked: list[Any] = []
            monkeypatch.setattr(server.hub, "ask", lambda *command: asked.append(command))
            job.log("a line")
            job.progress(0.25, "first")
            job.progress(0.5, "second")
            job.ask("a question", "an image")
            job.take_back("a question")
            job.lose_worker()
            job.start()
            job.log("another")
            job.succeed()
            await client.until("done")
            assert asked == []
            ids = [message[2] for message in client.messages]
            assert len(set(ids)) == len(ids)
            told = [message[1] for message in client.messages if message[0] in ("log_message", "progress")]
            assert told == [["INFO: a line"], [0.25, "first"], [0.5, "second"], ["INFO: another"]]

    run(work)


@pytest.mark.usefixtures("quick_sweeps")
def test_nothing_is_lost_or_doubled_whatever_becomes_of_the_announcements(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are lost, some come twice, some too late; some events are too long for theirs; watchers come in between."""
    chance, woken = random.Random(7), Hub._woken

    def unreliable(hub: Hub, announcement: str) -> None:
        fate = chance.choice(["lost", "twice", "late", "as it is", "as it is", "as it is"])
        if fate == "late":
            asyncio.get_running_loop().call_later(0.02, woken, hub, announcement)
        for _ in range({"lost": 0, "late": 0, "twice": 2}.get(fate, 1)):
            woken(hub, announcement)

    monkeypatch.setattr(Hub, "_woken", unreliable)
    jobs = [PlayedJob(engine).start() for _ in range(3)]
    texts = [f"{number} {'x' * chance.choice([0, 10, scripts.ANNOUNCED_BYTES])}" for number in range(150)]

    async def work() -> None:
        async with live_server(settings) as server:
            clients = []
            for number, text in enumerate(texts):
                if number % 25 == 0:
                    clients += [await server.watch(job.ticket, job.token) for job in jobs]
                for job in jobs:
                    job.log(text)
                await asyncio.sleep(0.002)
            for client in clients:
                await client.until_line(texts[-1])
                assert client.lines == texts

    run(work)


@pytest.mark.usefixtures("quick_sweeps")
def test_watchers_of_a_job_that_is_removed_are_told_so(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with watched(settings, job) as (_, client):
            job.engine.redis.delete(keys.task(job.ticket), keys.events(job.ticket))
            assert await client.until_closed() == 1000
            assert client.messages[0] == ["task_status", ["missing"]]

    run(work)


def test_after_a_restart_of_redis_watchers_get_what_they_missed(tmp_path: Path) -> None:
    redis_server = RedisServer(tmp_path, aof=True)
    redis_server.start()
    settings = Settings(data_path=tmp_path, redis=redis_server.url)
    engine = Engine(settings)

    async def work() -> None:
        jobs = [PlayedJob(engine).start() for _ in range(3)]
        async with live_server(settings) as server:
            clients = [await server.watch(job.ticket, job.token, after="0-0") for job in jobs]
            await server.until_live(3)
            health = f"http://127.0.0.1:{server.port}/health"
            for round_ in range(2):
                await asyncio.to_thread(redis_server.stop)
                with pytest.raises(HTTPClientError, match="503"):
                    await AsyncHTTPClient().fetch(health)
                during = asyncio.create_task(server.watch(jobs[0].ticket, jobs[0].token))
                await asyncio.to_thread(redis_server.start)
                for job, client in zip(jobs, clients, strict=True):
                    job.log(f"after restart {round_}")
                    await client.until_line(f"after restart {round_}")
                await (await during).until_line(f"after restart {round_}")
                answer = json.loads((await AsyncHTTPClient().fetch(health)).body)
                assert answer["status"] == "ok"
            assert all(client.lines == ["after restart 0", "after restart 1"] for client in clients)

    try:
        run(work)
    finally:
        engine.redis.close()
        redis_server.stop()


def test_many_watchers_need_two_connections_to_redis(settings: Settings, engine: Engine) -> None:
    async def work() -> None:
        jobs = [PlayedJob(engine).start() for _ in range(20)]
        async with live_server(settings) as server:
            await wait_for(lambda: engine.redis.pubsub_numsub(keys.WAKE)[0][1] == 1)
            before = len(engine.redis.client_list())
            clients = [await server.watch(job.ticket, job.token) for job in jobs for _ in range(10)]
            await server.until_live(200)
            for job in jobs:
                job.log("hello")
            for client in clients:
                await client.until_line("hello")
            assert len(engine.redis.client_list()) - before <= 1
            assert server.hub.watchers == 200

    run(work)
