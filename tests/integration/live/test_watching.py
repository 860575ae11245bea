"""What a watcher sees, over real sockets, with a real Redis: everything once and in order, from wherever it goes on."""

from __future__ import annotations

import asyncio

from knossos.jobs import Engine, JobFailure
from knossos.settings import Settings
from tests.support.live import WatchingClient, live_server, run
from tests.support.scenes import PlayedJob, free_worker


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


def test_a_lone_surrogate_in_the_log_does_not_break_the_socket(settings: Settings, job: PlayedJob) -> None:
    async def work() -> None:
        job.log("bad \ud800 name")
        async with live_server(settings) as server:
            client = await server.watch(job.ticket, job.token)
            assert await client.next() == ["log_message", ["INFO: bad ? name"]]

    run(work)
