"""What watchers say: answers, cancels, and what is no message."""

from __future__ import annotations

import json

import pytest

from knossos.jobs import Engine, keys
from knossos.settings import Settings
from tests.support.live import live_server, run, wait_for
from tests.support.scenes import PlayedJob


def test_an_answer_reaches_the_open_question_and_all_are_told(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            job.ask("q1", "http://hoster/captcha.png")
            client = await server.watch(job.ticket, job.token, room="inter", after="0-0")
            await client.until("captcha")
            assert client.messages[-1][1] == ["http://hoster/captcha.png"]
            client.connection.write_message('["user_ready", []]')
            client.connection.write_message('["captcha_response", ["fjord"]]')
            answer = keys.answer(job.ticket, "q1")
            await wait_for(lambda: job.engine.redis.lrange(answer, 0, -1) == [b"fjord"])
            job.take_back("q1")
            await client.until("answered")
            client.connection.write_message('["captcha_response", ["too late"]]')
            assert (await client.next() or [])[1] == ["WARNING: No question is open."]
            # A late watcher is not asked what is answered already.
            job.log("on")
            late = await server.watch(job.ticket, job.token, room="inter")
            await late.until_line("on")
            assert "captcha" not in late.events

    run(work)


def test_a_watcher_with_the_token_cancels(settings: Settings, engine: Engine) -> None:
    async def work() -> None:
        job = PlayedJob(engine)
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token, room="inter", after="0-0")
            client.connection.write_message('["cancel", []]')
            await client.until("done")
            assert client.messages[-1][1][1]["state"] == "cancelled"

    run(work)


def test_a_reader_cannot_answer_or_cancel(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            job.ask("q1", "http://captcha")
            client = await server.watch(job.ticket, job.token)
            await client.until("captcha")
            client.connection.write_message('["captcha_response", ["fjord"]]')
            client.connection.write_message('["cancel", []]')
            job.log("still here")
            await client.until_line("still here")
            assert not job.engine.redis.exists(keys.answer(job.ticket, "q1"))

    run(work)


@pytest.mark.parametrize("room", ["watcher", "inter"])
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", 1007),
        ("[" * 50_000, 1007),
        ("{}", 1007),
        ("[]", 1007),
        ("[1, []]", 1007),
        ('["captcha_response", [5]]', 1007),
        ('["captcha_response"]', 1007),
        (json.dumps(["captcha_response", ["x" * 5000]]), 1007),
        (b"\x00\xff", 1003),
        ("x" * 70_000, 1009),
    ],
)
def test_a_frame_that_is_no_message_closes_that_socket_only(
    settings: Settings, job: PlayedJob, room: str, frame: str | bytes, code: int
) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            other = await server.watch(job.ticket, job.token)
            client = await server.watch(job.ticket, job.token, room=room)
            await client.connection.write_message(frame, binary=isinstance(frame, bytes))
            closed = await client.until_closed()
            # Tornado may cut the connection of a frame that is too big before its close code is read.
            assert closed == code or (code == 1009 and closed is None)
            job.log("on")
            await other.until_line("on")

    run(work)


def test_what_a_newer_client_says_is_ignored(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token, room="inter")
            client.connection.write_message('["brand_new", [1, 2, 3]]')
            job.log("on")
            await client.until_line("on")

    run(work)
