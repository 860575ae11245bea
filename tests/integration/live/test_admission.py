"""Who may watch which job, and how those are answered who may not."""

from __future__ import annotations

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from knossos.settings import Settings
from tests.support.live import live_server, run, wait_for
from tests.support.people import session_of
from tests.support.scenes import PlayedJob


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


def test_other_addresses_are_answered_with_json(settings: Settings) -> None:
    async def work() -> None:
        async with live_server(settings) as server:
            for path, code in (("/", 404), ("/ws/other/1", 404), ("/ws/watcher/1", 400)):
                answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{server.port}{path}", raise_error=False)
                assert answer.code == code

    run(work)
