"""Jobs with several limits on a real Redis: they begin with all of them or none, in turns, and every end frees them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knossos.jobs import Engine, JobRecord, JobSpec, JobState, Limit, keys
from knossos.settings import Settings
from tests.support.processes import Process, wait_for

StartWorker = Callable[..., Process]


def spec(owner: str, limits: dict[str, int], function: str = "echo", **more: Any) -> JobSpec:
    payload = more.pop("payload", {})
    return JobSpec(
        function=f"tests.support.jobs.{function}",
        kind="test",
        title="A",
        owner=owner,
        payload=payload,
        limits=tuple(Limit(key=key, most=most) for key, most in limits.items()),
        **more,
    )


def ended(engine: Engine, ticket: int) -> JobRecord:
    def look() -> JobRecord | None:
        record = engine.find(ticket)
        return record if record.state.finished else None

    return wait_for(look, f"the end of task {ticket}")


def running(engine: Engine, ticket: int) -> None:
    wait_for(lambda: engine.find(ticket).state is JobState.RUNNING, f"task {ticket} to run")


def queued(engine: Engine) -> list[int]:
    """Who was let in and waits for a worker, in order."""
    found: Any = engine.redis.lrange(engine.queue("default").key, 0, -1)
    return [int(entry) for entry in found]


def left_of_limits(engine: Engine) -> list[str]:
    kinds = ("limit", "limit-lines", "waiting", "line", "place", "slots")
    return [key for key in (name.decode() for name in engine.redis.scan_iter()) if key.split(":")[1] in kinds]


def test_a_users_second_script_waits_while_those_of_others_run(engine: Engine) -> None:
    one = {user: engine.submit(spec(user, {"all": 3, f"all:{user}": 1})).ticket for user in "ab"}
    second = engine.submit(spec("a", {"all": 3, "all:a": 1})).ticket
    third = engine.submit(spec("c", {"all": 3, "all:c": 1})).ticket
    fourth = engine.submit(spec("d", {"all": 3, "all:d": 1})).ticket
    assert queued(engine) == [one["a"], one["b"], third]
    engine.cancel(one["b"])
    assert queued(engine) == [one["a"], third, fourth]
    engine.cancel(one["a"])
    assert queued(engine) == [third, fourth, second]


def test_who_waits_for_one_limit_holds_no_slot_of_another(engine: Engine) -> None:
    narrow, wide = engine.submit(spec("a", {"narrow": 1})).ticket, engine.submit(spec("b", {"wide": 2})).ticket
    both = engine.submit(spec("c", {"narrow": 1, "wide": 2})).ticket
    passes = engine.submit(spec("d", {"wide": 2})).ticket
    assert queued(engine) == [narrow, wide, passes]
    engine.cancel(narrow)
    assert both not in queued(engine), "the wide one is full by now"
    again = engine.submit(spec("a", {"narrow": 1})).ticket
    engine.cancel(wide)
    assert queued(engine) == [passes, again], "the narrow one is"
    engine.cancel(again)
    assert queued(engine) == [passes, both]


def test_two_that_want_the_same_limits_in_another_order_both_run(engine: Engine, start_worker: StartWorker) -> None:
    orders = ({"x": 1, "y": 1}, {"y": 1, "x": 1})
    tickets = [engine.submit(spec(f"key:{n % 3}", orders[n % 2])).ticket for n in range(8)]
    start_worker()
    start_worker()
    assert {ended(engine, ticket).state for ticket in tickets} == {JobState.SUCCEEDED}
    assert left_of_limits(engine) == []


def test_a_killed_job_and_a_killed_worker_free_all_their_limits(
    settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    engine = Engine(settings)
    limits = {"all": 1, "own": 1}
    payload = {"until": str(tmp_path / "never")}
    horse_dies, worker_dies = (
        engine.submit(spec("a", limits, "linger", retries=0, payload=payload)).ticket for _ in range(2)
    )
    last = engine.submit(spec("b", limits)).ticket
    worker = start_worker()
    running(engine, horse_dies)
    [horse] = Path(f"/proc/{worker.popen.pid}/task/{worker.popen.pid}/children").read_text().split()
    os.kill(int(horse), 9)
    assert ended(engine, horse_dies).failure is not None
    running(engine, worker_dies)
    assert engine.find(last).state is JobState.QUEUED
    worker.popen.kill()
    worker.popen.wait(20)
    start_worker()
    assert ended(engine, last).state is JobState.SUCCEEDED
    assert engine.find(worker_dies).state is JobState.FAILED
    assert left_of_limits(engine) == []


def test_a_job_that_pauses_before_it_is_tried_again_lets_others_in(engine: Engine, start_worker: StartWorker) -> None:
    limits = {"all": 1, "own": 1}
    pauses = spec("a", limits, "fail_until", retry_delays_seconds=(3,), payload={"attempt": 2})
    first, other = engine.submit(pauses).ticket, engine.submit(spec("b", limits)).ticket
    start_worker()
    assert ended(engine, other).state is JobState.SUCCEEDED
    assert not engine.find(first).state.finished
    assert ended(engine, first).attempt == 2
    assert left_of_limits(engine) == []


def test_a_job_that_was_forgotten_while_it_ran_frees_its_limits(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    limits = {"all": 1, "own": 1}
    first = engine.submit(spec("a", limits, "linger", payload={"until": str(tmp_path / "never")})).ticket
    second = engine.submit(spec("b", limits)).ticket
    start_worker()
    running(engine, first)
    engine.forget(first)
    assert ended(engine, second).state is JobState.SUCCEEDED


def test_slots_of_jobs_that_are_no_more_are_found_by_the_caretaker(engine: Engine, start_worker: StartWorker) -> None:
    gone, waits = (engine.submit(spec("a", {"all": 1})).ticket for _ in range(2))
    engine.redis.delete(keys.task(gone), f"rq:job:{gone}")
    worker = start_worker()
    assert ended(engine, waits).state is JobState.SUCCEEDED
    assert f"task {gone} is no more" in worker.log


def test_who_comes_back_after_a_while_has_saved_no_turns_up(engine: Engine) -> None:
    """b was held up by its own limit for twenty turns: it gets every second slot from then on, not twenty in a row."""
    own = engine.submit(spec("b", {"own": 1})).ticket
    owners = {engine.submit(spec("a", {"all": 1})).ticket: "a" for _ in range(30)}
    held_up = {engine.submit(spec("b", {"all": 1, "own": 1})).ticket: "b" for _ in range(4)}
    for _ in range(20):
        engine.cancel(next(ticket for ticket in queued(engine) if ticket in owners))
    engine.redis.hset(keys.limit("own"), "most", 9)
    engine.cancel(own)
    order = []
    while inside := queued(engine):
        order.append((owners | held_up)[inside[0]])
        engine.cancel(inside[0])
    assert "bbb" not in "".join(order[:8])
    assert order[:8].count("b") >= 3


def test_a_place_in_the_order_of_turns_is_told_and_kept(engine: Engine) -> None:
    first = engine.submit(spec("a", {"all": 1})).ticket
    tickets = [engine.submit(spec(owner, {"all": 1})).ticket for owner in "aaabbca"]
    told = engine.places("all", [first, *tickets])
    assert told[first] == 0
    assert sorted(told.values()) == list(range(8))
    order = []
    while queued(engine):
        [ticket] = queued(engine)
        order.append(ticket)
        engine.cancel(ticket)
    assert order == sorted(told, key=lambda ticket: told[ticket])
    assert engine.places("all", [first, *tickets]) == {}


def test_another_number_for_a_limit_counts_at_once(engine: Engine) -> None:
    tickets = [engine.submit(spec("a", {"all": 1})).ticket for _ in range(3)]
    tickets.append(engine.submit(spec("b", {"all": 3})).ticket)
    assert len(queued(engine)) == 3
    assert queued(engine)[0] == tickets[0]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_and_ends_no_limit_is_passed_and_nobody_is_left_waiting(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    most = {"x": 1, "y": 2, "z": 3}
    limits_of: dict[int, list[str]] = {}
    for _ in range(150):
        if limits_of and chance.random() < 0.45:
            ticket = chance.choice(list(limits_of))
            engine.cancel(ticket)
            del limits_of[ticket]
        else:
            some = chance.sample(list(most), chance.randint(1, 3))
            ticket = engine.submit(spec(f"key:{chance.randint(1, 4)}", {key: most[key] for key in some})).ticket
            limits_of[ticket] = some
        inside = queued(engine)
        used = {key: sum(key in limits_of[ticket] for ticket in inside) for key in most}
        assert all(used[key] <= most[key] for key in most)
        for ticket in limits_of.keys() - set(inside):
            assert any(used[key] == most[key] for key in limits_of[ticket]), f"task {ticket} could begin"
        held: Any = engine.redis.hgetall(keys.SLOTS)
        assert sorted(map(int, held)) == sorted(inside)
        for key in most:
            assert int(engine.redis.hget(keys.limit(key), "used") or 0) == used[key]  # type: ignore[arg-type]
    for ticket in limits_of:
        engine.cancel(ticket)
    assert left_of_limits(engine) == []


def test_an_end_costs_the_same_however_many_wait(engine: Engine) -> None:
    def commands() -> int:
        stats: Any = engine.redis.info("commandstats")
        return sum(one["calls"] for name, one in stats.items() if "eval" not in name)

    def cost() -> int:
        [inside] = queued(engine)
        before = commands()
        engine.cancel(inside)
        return commands() - before

    first = [engine.submit(spec(f"key:{n}", {"all": 1, f"own:{n}": 1})).ticket for n in range(10)]
    few = cost()
    for n in range(10, 400):
        engine.submit(spec(f"key:{n}", {"all": 1, f"own:{n}": 1}))
    assert abs(cost() - few) <= 2
    assert queued(engine) == [first[2]]


def test_names_of_any_letters_are_told_apart(engine: Engine) -> None:
    names = ('a","b', "a", "b", "ä€😀", "a:b", "b:lines", "%s")
    tickets = [engine.submit(spec(f'key:"{name}', {name: 1, "all": 99})).ticket for name in names for _ in range(2)]
    assert queued(engine) == tickets[::2]
    for ticket in tickets[::2]:
        engine.cancel(ticket)
    assert queued(engine) == tickets[1::2]
    fields: Any = engine.redis.hget(keys.task(tickets[0]), "line")
    assert json.loads(fields)[0] == 'key:"a","b'
