"""The job that checks and publishes: real archives, a real storage, and for some of it a real worker process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knossos.accounts import Accounts, Role
from knossos.accounts.audit import OPERATOR
from knossos.accounts.tokens import ALL_SCOPES, Proof, Tokens, identity_of
from knossos.database import Database
from knossos.jobs import Engine, JobSpec, JobState
from knossos.packaging.archives import SevenZip
from knossos.packaging.description import Action
from knossos.publishing.checks import KnownRelease
from knossos.publishing.digests import digest_of
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.known_mods import KnownMods
from knossos.publishing.release_job import CheckedRelease, ReleaseTask
from knossos.publishing.releases import Mode
from knossos.publishing.submissions import STILL_CHECKING, Submissions
from knossos.publishing.tables import Release
from knossos.publishing.teams import TeamRole
from knossos.settings import Settings
from tests.conftest import StartWorker
from tests.support.conversions import NotingReporter
from tests.support.processes import wait_for
from tests.support.real_releases import Shelf
from tests.support.releases import add_user, document, publish

FILES = {"mod.ini": b"ini", "data/a.tbl": b"table"}
NO_PROOF = Proof()


class Context(NotingReporter):
    """A job's context without a job."""

    def __init__(self, settings: Settings, workspace: Path, ticket: int = 7) -> None:
        super().__init__()
        self.settings = settings
        self.workspace = workspace
        self.ticket = ticket


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    return Settings(data_path=tmp_path / "data", redis=redis_url, storage=str(tmp_path / "storage"))


@pytest.fixture
def shelf(settings: Settings, database: Database, engine: Engine, tmp_path: Path) -> Shelf:
    return Shelf(settings, database, engine, tmp_path)


@pytest.fixture
def lite(settings: Settings, sqlite_template: Path, engine: Engine, tmp_path: Path) -> Iterator[Shelf]:
    """The same on SQLite only, where the database has no say in what is tested."""
    settings.data_path.mkdir(exist_ok=True)
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    database = Database(settings)
    yield Shelf(settings, database, engine, tmp_path)
    database.close()


def checked(
    shelf: Shelf, release: ReleaseDocument, mode: Mode = Mode.RELEASE, *actions: Action, proof: Proof = NO_PROOF
) -> CheckedRelease:
    settings = shelf.publisher.settings
    work = settings.data_path / f"work-{len(list(settings.data_path.glob('work-*')))}"
    work.mkdir(parents=True)
    task = ReleaseTask(
        document=release, mode=mode, user_id=shelf.user_id, actions=list(actions),
        submission=digest_of(shelf.user_id, release, mode, actions), proof=proof,
    )  # fmt: skip
    found = CheckedRelease(task, shelf.publisher, Context(settings, work))  # type: ignore[arg-type]
    found.check()
    return found


def paths(problems: list[dict[str, str]]) -> list[str]:
    return [one["path"] for one in problems]


def test_a_right_release_is_stored_and_stays_one_however_often_the_job_runs(shelf: Shelf) -> None:
    release = shelf.release(FILES)
    first = checked(shelf, release).publish()
    assert first == {"result": True, "errors": [], "warnings": [], "ticket": 7}
    assert checked(shelf, release).publish() == first
    stored = shelf.publisher.releases.load("alpha", "1.0.0")
    assert stored is not None
    assert stored.document == release
    assert stored.published_by == shelf.user_id


def test_another_release_of_the_same_version_is_refused_as_duplicated(shelf: Shelf) -> None:
    checked(shelf, shelf.release(FILES)).publish()
    answer = checked(shelf, shelf.release({**FILES, "more": b"1"})).publish()
    assert (answer["result"], answer["reason"]) == (False, "duplicated version")


def test_rights_that_are_lost_while_a_release_is_checked_keep_it_from_going_out(shelf: Shelf) -> None:
    accounts = Accounts(shelf.publisher.database)
    tokens = Tokens(shelf.publisher.settings, shelf.publisher.database)
    dora = accounts.get("dora")
    erik = accounts.add("erik", "a password", [Role.OPERATOR])
    by_token = tokens.check(tokens.issue_api(dora.user_id, "ci", ALL_SCOPES, None)).proof
    by_session = identity_of(dora).proof
    release = shelf.release(FILES)

    def outcome(proof: Proof, meanwhile: Callable[[], object], mode: Mode = Mode.RELEASE) -> tuple[bool, str]:
        waiting = checked(shelf, release, mode, proof=proof)
        meanwhile()
        answer = waiting.publish()
        return answer["result"], answer.get("reason", "")

    def team(role: TeamRole) -> None:
        members = [{"user": "erik", "role": 0}, {"user": "dora", "role": int(role)}]
        shelf.publisher.teams.update(identity_of(erik), "alpha", members, OPERATOR)

    refused = (False, "unauthorized")
    assert outcome(by_token, lambda: team(TeamRole.TESTER)) == refused
    team(TeamRole.UPLOADER)
    assert outcome(by_token, lambda: accounts.disable("dora")) == refused
    accounts.enable("dora")
    assert outcome(by_session, lambda: None) == refused  # being disabled ended it
    assert shelf.publisher.releases.load("alpha", "1.0.0") is None
    assert outcome(by_token, lambda: None) == (True, "")
    (ci,) = tokens.list_tokens(dora.user_id)
    release = release.model_copy(update={"description": "Better."})
    assert outcome(by_token, lambda: tokens.revoke(ci.token_id), Mode.UPDATE) == refused
    stored = shelf.publisher.releases.load("alpha", "1.0.0")
    assert stored is not None
    assert stored.document.description != "Better."


def test_a_release_that_needs_actions_is_stored_without_need_of_them(lite: Shelf) -> None:
    release = lite.release({"in/mod.ini": b"ini", "in/data/a": b"1"})
    move = Action(type="move", paths=["in/*"], dest="")
    tried = checked(lite, release, Mode.DRY_RUN, move)
    assert not tried.findings
    assert tried.answer()["warnings"][0]["path"] == "packages.0.files.0"
    assert lite.publisher.releases.load("alpha", "1.0.0") is None
    for _ in range(2):
        assert checked(lite, release, Mode.RELEASE, move).publish()["result"] is True
    stored = lite.publisher.releases.load("alpha", "1.0.0")
    assert stored is not None
    (package,) = stored.document.packages
    assert [(file.filename, file.dest) for file in package.files] == [("core.7z", "")]
    assert {entry.filename for entry in package.filelist} == {"mod.ini", "data/a"}
    blob = lite.publisher.blobs.find(package.files[0].checksum[1])
    assert blob is not None
    assert (blob.size, blob.owner_id) == (package.files[0].filesize, lite.user_id)
    assert checked(lite, stored.document, Mode.DRY_RUN).answer()["warnings"] == []


def test_what_cannot_be_packed_anew_is_refused_and_stores_nothing(lite: Shelf) -> None:
    release = lite.release({"in/a": b"1"})
    alike = Action(type="copy", paths=["in/a"], dest="in/A")
    answer = checked(lite, release, Mode.RELEASE, alike).publish()
    assert (answer["result"], answer["reason"]) == (False, "repack failed")
    assert "same name on Windows" in answer["message"]
    nothing = checked(lite, release, Mode.RELEASE, Action(type="delete", paths=["in"])).publish()
    assert nothing["result"] is True
    stored = lite.publisher.releases.load("alpha", "1.0.0")
    assert stored is not None
    assert stored.document.packages[0].files[0].filename == "core.7z"
    assert stored.document.packages[0].filelist == []


def test_a_second_check_reads_no_archive_again(lite: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    release = lite.release(FILES)
    checked(lite, release, Mode.DRY_RUN)
    monkeypatch.setattr(SevenZip, "locate", lambda settings: pytest.fail("7-Zip is not needed"))
    assert not checked(lite, release, Mode.DRY_RUN).findings


def test_before_an_upload_only_what_is_stored_is_compared(lite: Shelf) -> None:
    release = lite.release(FILES, stored=False)
    assert checked(lite, release, Mode.PREFLIGHT).findings.errors == []
    assert paths(checked(lite, release, Mode.DRY_RUN).findings.errors) == ["packages.0.files.0"]
    release.packages[0].filelist.clear()  # which may be made from what is uploaded
    assert checked(lite, release, Mode.PREFLIGHT).findings.errors == []
    assert paths(checked(lite, release, Mode.DRY_RUN).findings.errors) == ["packages.0.files.0"]
    broken = lite.release({**FILES, "x": b"1"})
    broken.packages[0].filelist.pop()
    assert paths(checked(lite, broken, Mode.PREFLIGHT).findings.errors) == ["packages.0.filelist"]


def test_archives_are_read_side_by_side_and_a_broken_one_hides_no_other(lite: Shelf) -> None:
    release = lite.release(FILES)
    data = release.model_dump(mode="json")
    more = [lite.keep(b"<html>not an archive</html>"), lite.keep(b"7z\xbc\xaf\x27\x1cbroken"), "0" * 64]
    for number, sha256 in enumerate(more):
        size = 27 if number == 0 else 12
        data["packages"][0]["files"].append(
            {"filename": f"{number}.7z", "dest": "", "checksum": ["sha256", sha256], "filesize": size}
        )
    found = checked(lite, ReleaseDocument.model_validate(data))
    assert paths(found.findings.errors) == [f"packages.0.files.{number}" for number in (1, 2, 3)]
    answer = found.refuse()
    assert answer["result"] is False
    assert "web page" in answer["message"]
    assert answer["message"].endswith("(and 2 more)")


def test_what_is_wrong_is_in_the_log_and_told_to_webhooks(lite: Shelf, engine: Engine) -> None:
    release = lite.release(FILES)
    release.packages[0].filelist.pop()
    lite.publisher.webhooks.add(
        lite.identity, "alpha", "https://example.org/hook", events=["failed_validation"]
    )  # fmt: skip
    found = checked(lite, release)
    found.refuse()
    context: Any = found._context
    assert context.said("ERROR: packages.0.filelist: data/a.tbl is in core.zip and not listed")
    (delivery,) = engine.list_jobs()
    assert "1.0.0" in delivery.title or delivery.kind
    assert lite.publisher.releases.load("alpha", "1.0.0") is None


class TestKnownMods:
    def test_everything_public_is_known_newest_first_and_private_mods_to_their_teams(self, shelf: Shelf) -> None:
        for version in ("1.2.0", "1.10.0", "1.9.0-rc.1"):
            publish(shelf.publisher, document(id="Lib", version=version), shelf.user_id)
        publish(shelf.publisher, document(id="Hidden", private=True, needs=[("Lib", ">=1.2.0")]), shelf.user_id)
        shelf.publisher.releases.yank(
            shelf.identity, "Lib", "1.2.0", "old", OPERATOR
        )  # fmt: skip
        mine = KnownMods(shelf.publisher.database, shelf.user_id)
        theirs = KnownMods(shelf.publisher.database, add_user(shelf.publisher.database, "eve"))
        assert mine.releases("Lib") == theirs.releases("Lib") == [
            KnownRelease("1.10.0"), KnownRelease("1.9.0-rc.1"), KnownRelease("1.2.0", yanked=True)
        ]  # fmt: skip
        assert mine.releases("Hidden") == [KnownRelease("1.0.0", private=True)]
        assert [mine.has_mod(name) for name in ("Lib", "Hidden", "alpha", "nothing")] == [True, True, True, False]
        assert [theirs.has_mod(name) for name in ("Lib", "Hidden", "alpha")] == [True, False, False]
        assert (mine.similar_id("HIDDEN"), theirs.similar_id("HIDDEN"), mine.similar_id("Lib")) == (
            "Hidden",
            None,
            None,
        )
        (package,) = mine.packages("Hidden", "1.0.0")
        assert (package.name, package.requirements[0].mod_id, package.requirements[0].version) == (
            "Core", "Lib", ">=1.2.0"
        )  # fmt: skip
        assert theirs.packages("Hidden", "1.0.0") == []
        assert mine.image_type("0" * 64) is None


class TestSubmissions:
    def test_the_same_request_joins_its_job_and_another_one_does_not(self, shelf: Shelf) -> None:
        submissions = shelf.publisher.submissions
        release = document()
        first = submissions.start(shelf.identity, release, Mode.RELEASE)
        again = submissions.start(
            shelf.identity, release.model_copy(update={"last_update": "2027-01-01"}), Mode.RELEASE
        )
        assert again.ticket == first.ticket
        other = submissions.start(shelf.identity, release, Mode.DRY_RUN)
        third = submissions.start(shelf.identity, release.model_copy(update={"notes": "x"}), Mode.RELEASE)
        assert len({first.ticket, other.ticket, third.ticket}) == 3
        assert first.owner == "account:dora"

    def test_what_was_refused_is_checked_anew_and_what_was_published_is_answered_once(
        self, shelf: Shelf, engine: Engine
    ) -> None:
        submissions = shelf.publisher.submissions
        start = lambda: submissions.start(shelf.identity, document(), Mode.RELEASE)  # noqa: E731
        first = start()
        end(engine, first.ticket, {"result": False, "reason": "invalid parent", "errors": [], "warnings": []})
        assert submissions.wait(first)["reason"] == "invalid parent"
        second = start()
        assert second.ticket != first.ticket
        end(engine, second.ticket, {"result": True, "errors": [], "warnings": []})
        assert start().ticket == second.ticket
        digest = digest_of(shelf.user_id, document(), Mode.RELEASE)
        assert submissions.answer_to(digest, second)["result"] is True
        third = start()
        assert third.ticket != second.ticket
        engine.forget(third.ticket)
        fourth = start()
        assert fourth.ticket != third.ticket
        engine.cancel(fourth.ticket)
        assert submissions.wait(fourth)["reason"] == "cancelled"
        assert start().ticket != fourth.ticket

    def test_who_waits_too_long_gets_the_ticket_and_the_token(self, lite: Shelf, engine: Engine) -> None:
        waits: list[float] = []
        now = [0.0]

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            now[0] += seconds

        submissions = Submissions(
            lite.publisher.settings, lite.publisher.database, engine, sleep=sleep, clock=lambda: now[0]
        )
        answer = submissions.run(lite.identity, document(), Mode.RELEASE, wait_seconds=60)
        record = engine.find(answer["ticket"])
        assert answer["result"] is False
        assert (answer["reason"], answer["token"]) == (STILL_CHECKING, record.token)
        assert sum(waits) == pytest.approx(60)
        assert waits[0] < 0.1 < max(waits) <= 0.5

    def test_old_requests_are_forgotten(self, shelf: Shelf) -> None:
        shelf.publisher.submissions.start(shelf.identity, document(), Mode.RELEASE)
        assert shelf.publisher.submissions.purge(3600) == 0
        assert shelf.publisher.submissions.purge(-1) == 1


def end(engine: Engine, ticket: int, result: dict[str, Any]) -> None:
    """End a job as a worker would."""
    with engine.redis.pipeline() as pipeline:
        engine.ledger.start(ticket, "fence", "worker", pipeline)
        engine.ledger.succeed(ticket, "fence", result, pipeline)
        pipeline.execute()


class TestWithAWorker:
    @pytest.mark.slow
    def test_a_release_goes_out_and_its_repetition_finds_it_out(
        self, lite: Shelf, settings: Settings, start_worker: StartWorker
    ) -> None:
        start_worker(product=True, use=settings)
        release = lite.release(FILES)
        answer = lite.publisher.submissions.run(lite.identity, release, Mode.RELEASE, wait_seconds=45)
        assert (answer["result"], answer["errors"]) == (True, [])
        again = lite.publisher.submissions.run(lite.identity, release, Mode.RELEASE, wait_seconds=45)
        assert again == answer | {"ticket": again["ticket"], "token": again["token"]}
        assert again["ticket"] != answer["ticket"]
        bad = lite.release(FILES, version="1.0.1", parent="Nothing", mod_flag=["alpha", "None"])
        answer = lite.publisher.submissions.run(lite.identity, bad, Mode.RELEASE, wait_seconds=45)
        assert paths(answer["errors"]) == ["mod_flag.1", "parent"]
        assert lite.publisher.releases.load("alpha", "1.0.1") is None

    @pytest.mark.slow
    def test_a_worker_that_is_killed_in_the_middle_leaves_one_release_in_the_end(
        self, lite: Shelf, settings: Settings, engine: Engine, start_worker: StartWorker, tmp_path: Path
    ) -> None:
        hang = tmp_path / "hang"
        slow = tmp_path / "7z-that-hangs"
        real = SevenZip.locate(settings).program
        slow.write_text(f'#!/bin/sh\nwhile [ -e "{hang}" ]; do sleep 0.05; done\nexec "{real}" "$@"\n')
        slow.chmod(0o755)
        hang.touch()
        use = settings.model_copy(update={"sevenzip": str(slow)})
        release = lite.release({"in/a": os.urandom(50_000), "in/b": b"2"})
        move = Action(type="move", paths=["in/*"], dest="")
        hang.unlink()  # its own test of 7-Zip must go through
        process = start_worker(product=True, use=use)
        wait_for(lambda: "waits for tasks" in process.log, "the worker")
        hang.touch()
        record = lite.publisher.submissions.start(lite.identity, release, Mode.RELEASE, actions=[move])
        wait_for(lambda: engine.find(record.ticket).state is JobState.RUNNING, "the job to run")
        wait_for(lambda: any(settings.work_folder.glob("*")), "the job to be at it")
        os.killpg(process.popen.pid, signal.SIGKILL)
        process.popen.wait(20)
        hang.unlink()
        start_worker(product=True, use=use)
        answer = lite.publisher.submissions.wait(engine.find(record.ticket), 60)
        assert answer["result"] is True
        with lite.publisher.database.reading() as session:
            assert session.query(Release).count() == 1
        assert lite.publisher.submissions.wait(engine.find(record.ticket)) == answer


def test_a_job_that_fails_for_a_reason_of_the_server_says_so(lite: Shelf, engine: Engine) -> None:
    spec = JobSpec(function="knossos.publishing.release_job.check_and_publish", kind="release", title="x", owner="y")
    record = engine.submit(spec)
    engine.expire(record.ticket, "The task was not finished within 24 hours.")
    answer = lite.publisher.submissions.wait(record)
    assert (answer["result"], answer["reason"]) == (False, "check failed")
    assert answer["message"] == "The task was not finished within 24 hours."
