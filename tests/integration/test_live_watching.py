"""Watching jobs over real sockets, with a real Redis."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from knossos.jobs import Engine, JobFailure, keys, scripts
from knossos.live import hub as hub_module
from knossos.live import watcher as watcher_module
from knossos.live.hub import Hub
from knossos.settings import Settings
from tests.support.live import Server, WatchingClient, live_server, wait_for
from tests.support.people import session_of
from tests.support.redis_server import RedisServer
from tests.support.scenes import PlayedJob, free_worker


@pytest.fixture
def job(engine: Engine) -> PlayedJob:
    return PlayedJob(engine).start()


@pytest.fixture(autouse=True)
def nothing_went_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may leave an exception in the server's log."""
    yield
    bad = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not bad, caplog.text


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))


def test_an_old_client_sees_the_whole_log_and_the_end(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        job.log("first")
        job.progress(0.25, "a quarter")
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            await client.until("progress")
            job.log("second", "WARNING")
            job.succeed({})
            await client.until("done")
            assert client.messages == [
                ["log_message", ["INFO: first"]],
                ["progress", [0.25, "a quarter"]],
                ["log_message", ["WARNING: second"]],
                ["done", [True]],
            ]

    run(work)


def test_a_new_client_sees_ids_states_files_and_why_it_failed(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        job.write("files", {"files": [{"name": "a.7z", "phase": "downloading"}]}, only_last=True)
        job.fail(JobFailure(code="encrypted", message="a.7z is encrypted"))
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token, after="0-0")
            messages = await client.until("done")
            assert client.events == ["state", "state", "files", "done"]
            assert messages[2][1] == [[{"name": "a.7z", "phase": "downloading"}]]
            assert messages[3][1][0] is False
            assert messages[3][1][1]["failure"]["message"] == "a.7z is encrypted"
            assert [message[2] for message in messages] == [event.id for event in job.engine.events(job.ticket)]

    run(work)


def test_an_old_client_reads_from_the_log_why_it_failed(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        job.fail(JobFailure(code="encrypted", message="a.7z is encrypted"))
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            assert await client.until("done") == [["log_message", ["ERROR: a.7z is encrypted"]], ["done", [False]]]

    run(work)


def test_a_watcher_who_joins_late_sees_every_line_once_while_the_job_goes_on(
    settings: Settings, job: PlayedJob
) -> None:
    async def work() -> None:
        def write() -> None:
            for number in range(1500):
                job.log(f"line {number}")
            job.succeed()

        async with live_server(settings) as server:
            writing = asyncio.create_task(asyncio.to_thread(write))
            clients: list[WatchingClient] = []
            while not writing.done():
                clients.append(await server.watch(job.ticket, job.token, after="0-0" if len(clients) % 2 else None))
                await asyncio.sleep(0.02)
            await writing
            assert len(clients) > 5
            for client in clients:
                await client.until("done")
                assert client.lines == [f"line {number}" for number in range(1500)]

    run(work)


def test_a_client_goes_on_after_the_last_event_it_has_seen(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            job.log("one")
            job.log("two")
            client = await server.watch(job.ticket, job.token, after="0-0")
            (*_, last) = await client.until_line("two")
            client.close()
            job.log("three")
            again = await server.watch(job.ticket, job.token, after=last[2])
            job.log("four")
            job.succeed()
            await again.until("done")
            assert again.lines == ["three", "four"]

    run(work)


def test_going_on_after_a_removed_event_loses_nothing_new_and_after_an_invented_one_everything_is_told(
    settings: Settings, job: PlayedJob
) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            job.log("one")
            job.ask("q1", "http://captcha")
            client = await server.watch(job.ticket, job.token, after="0-0")
            (*_, question) = await client.until("captcha")
            job.take_back("q1")
            gone = await server.watch(job.ticket, job.token, after=question[2])
            future = await server.watch(job.ticket, job.token, after="9999999999999-0")
            await server.until_live(3)
            job.log("two")
            for each, expected in ((gone, ["two"]), (future, ["one", "two"])):
                await each.until_line("two")
                assert each.lines == expected

    run(work)


def test_who_names_an_event_that_never_was_of_an_ended_task_is_told_everything(
    settings: Settings, job: PlayedJob
) -> None:
    async def work() -> None:
        job.log("one")
        job.succeed({})
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token, after="9999999999999-0")
            await client.until("done")
            assert client.lines == ["one"]

    run(work)


def test_a_cut_log_says_how_many_lines_are_missing(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        for number in range(1, 101):
            job.log(f"line {number}", max_lines=20)
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            await client.until_line("line 100")
            assert client.lines[9:12] == ["line 10", "... 80 lines were cut here: the log is too long ...", "line 91"]
            newer = await server.watch(job.ticket, job.token, after="0-0")
            messages = await newer.until_line("line 100")
            at = next(number for number, message in enumerate(messages) if "cut here" in str(message))
            assert messages[at][2] == messages[at - 1][2]
            again = await server.watch(job.ticket, job.token, after=messages[at + 3][2])
            await again.until_line("line 100")
            assert again.lines == [f"line {number}" for number in range(94, 101)]

    run(work)


def test_a_late_watcher_gets_only_the_last_progress(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        for number in range(5):
            job.progress(number / 10, f"step {number}")
        job.log("end")
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            await client.until_line("end")
            assert [message[1] for message in client.messages if message[0] == "progress"] == [[0.4, "step 4"]]

    run(work)


def test_a_watcher_of_a_queued_job_is_told_so(settings: Settings, engine: Engine) -> None:
    async def work() -> None:
        first, second = PlayedJob(engine), PlayedJob(engine)
        async with live_server(settings) as server:
            with free_worker(engine):
                told = await (await server.watch(second.ticket, second.token)).next()
                assert told == ["log_message", ["INFO: The task is queued; 1 task is before it."]]
                told = await (await server.watch(first.ticket, first.token)).next()
                assert told == ["log_message", ["INFO: The task is queued and will start soon."]]
            told = await (await server.watch(first.ticket, first.token)).next()
            begins = "this begins when one is started."
            assert told == ["log_message", [f"INFO: The task is queued. No worker is running; {begins}"]]

    run(work)


def test_watchers_are_told_when_a_lost_worker_is_replaced(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            old = await server.watch(job.ticket, job.token)
            new = await server.watch(job.ticket, job.token, after="0-0")
            await server.until_live(2)
            job.lose_worker()
            assert (await old.next()) == ["log_message", ["WARNING: The worker was lost; another one starts."]]
            await new.until("state")
            while new.messages[-1][1][0]["state"] != "retrying":
                await new.next()

    run(work)


def test_a_missing_ticket_is_told_and_closed_cleanly(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            for ticket in (job.ticket + 1, "nonsense", "0", "-1", "9" * 40, "1e3", "%F0%9F%98%80", ""):
                client = await server.watch(ticket, job.token)
                assert await client.until_closed() == 1000
                assert client.events == ["task_status", "log_message"]
                assert client.messages[0] == ["task_status", ["missing"]]
                # Closing at once, before anything is read, is as clean.
                (await server.watch(ticket)).stream.close()
            await wait_for(lambda: server.hub.watchers == 0)

    run(work)


def test_a_job_looks_missing_to_those_who_may_not_watch_it(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            for room in ("watcher", "inter"):
                for token in ("", "x" * 30, job.token[:-1], "%00", "%F0%9F%98%80"):
                    client = await server.watch(job.ticket, token, room=room)
                    assert (await client.next()) == ["task_status", ["missing"]]

    run(work)


@pytest.mark.parametrize(
    ("roles", "seen"),
    [
        (["operator"], True),
        ([], False),
    ],
)
def test_a_session_opens_what_its_account_may_see(
    settings: Settings, job: PlayedJob, roles: list[str], seen: bool
) -> None:
    async def work() -> None:
        job.log("secret")
        cookie = "SessionToken=" + session_of(settings, "somebody", *roles)
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, headers={"Cookie": cookie})
            assert (await client.next() or [])[0] == ("log_message" if seen else "task_status")

    run(work)


def test_open_watch_lets_clients_in_that_know_only_the_ticket(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        job.log("hello")
        async with live_server(settings.model_copy(update={"open_watch": True})) as server:
            for room in ("watcher", "inter"):
                client = await server.watch(job.ticket, room=room)
                assert (await client.next()) == ["log_message", ["INFO: hello"]]
            client.connection.write_message('["cancel", []]')
            assert "Only those who have the task's token" in str(await client.next())

    run(work)


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


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8080", False),
        ("https://mods.example", True),
        ("https://pages.example:444", True),
        ("https://mods.example:444", False),
        ("https://evil.example", False),
        ("null", False),
        ("http://[", False),
        ("http://127.0.0.1.evil.example", False),
    ],
)
def test_only_pages_of_known_origins_may_connect(settings: Settings, origin: str, allowed: bool) -> None:
    changed = {"public_url": "https://mods.example", "allowed_origins": ("https://pages.example:444",)}

    async def work() -> None:
        async with live_server(settings.model_copy(update=changed)) as server:
            if allowed:
                await server.watch(1, headers={"Origin": origin})
            else:
                with pytest.raises(HTTPClientError, match="403"):
                    await server.watch(1, headers={"Origin": origin})

    run(work)


def test_a_wrong_place_to_go_on_from_is_refused(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            for after in ("x", "", "1", "-1-1", "1-1-1", "%00"):
                with pytest.raises(HTTPClientError, match="400"):
                    await server.watch(job.ticket, job.token, after=after)

    run(work)


def test_a_token_that_is_no_text_is_refused(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            for ticket, token in ((job.ticket, "%ff"), ("%ff", "")):
                with pytest.raises(HTTPClientError, match="400"):
                    await server.watch(ticket, token)

    run(work)


def test_publishing_rubbish_does_not_end_the_listener(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            await server.until_live(1)
            broken = b"%d 0-0 9-9 1 log {" % job.ticket
            for rubbish in (b"", b"x", b"\xff\xfe", b"-1", b"1" * 10_000, b"\x00", b'{"a": 1}', b"17 ", broken):
                job.engine.redis.publish(keys.WAKE, rubbish)
                job.engine.redis.publish("knossos:other", rubbish)
            job.log("on")
            await client.until_line("on")

    run(work)


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


def test_a_lone_surrogate_in_the_log_does_not_break_the_socket(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        job.log("bad \ud800 name")
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            assert await client.next() == ["log_message", ["INFO: bad ? name"]]

    run(work)


def test_a_lost_announcement_is_made_up_for(
    settings: Settings, job: PlayedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.2)

    async def work() -> None:
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            await server.until_live(1)
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


def test_nothing_is_lost_or_doubled_whatever_becomes_of_the_announcements(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are lost, some come twice, some too late; some events are too long for theirs; watchers come in between."""
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.2)
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


def test_watchers_of_a_job_that_is_removed_are_told_so(
    settings: Settings, job: PlayedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.2)

    async def work() -> None:
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            await server.until_live(1)
            job.engine.redis.delete(keys.task(job.ticket), keys.events(job.ticket))
            assert await client.until_closed() == 1000
            assert client.messages[0] == ["task_status", ["missing"]]

    run(work)


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


@asynccontextmanager
async def deaf_client(server: Server, job: PlayedJob) -> AsyncIterator[asyncio.StreamReader]:
    """A client that has connected and then reads nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(
        f"GET /ws/watcher/{job.ticket}?token={job.token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    await writer.drain()
    yield reader
    writer.close()


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


def test_when_the_server_stops_clients_are_told_to_come_back(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            await server.until_live(1)
            server.hub.close()
            assert await client.until_closed() == 1001

    run(work)


def test_other_addresses_are_answered_with_json(settings: Settings) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            for path, code in (("/", 404), ("/ws/other/1", 404), ("/ws/watcher/1", 400)):
                answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{server.port}{path}", raise_error=False)
                assert answer.code == code

    run(work)
