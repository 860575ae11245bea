"""Pages of mods and of uploaded logs over HTTP: who sees what, searching, and that strangers' texts stay texts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos.accounts import Account
from knossos.accounts.audit import Actor
from knossos.accounts.tokens import identity_of
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.publisher import Publisher
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.support.people import add_account
from tests.support.releases import document, publish, sha256_of
from tests.support.web import log_in, services_of

SAME_ORIGIN = {"Origin": "http://localhost"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def dora(database: Database) -> Account:
    return add_account(database, "dora")


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    third_party.install()
    return create_app(settings, engine).test_client()


@pytest.fixture
def publisher(client: FlaskClient) -> Publisher:
    return services_of(client).publisher


def titles(page: str) -> list[str]:
    return re.findall(r'class="mod-card-title"><a href="[^"]*">([^<]*)</a>', page)


def with_packages(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The package of a release of the tests, once with each of these changes."""
    plain = document().model_dump(mode="json")["packages"][0]
    return [plain | one for one in changes]


# --- who sees what ---------------------------------------------------------------------------------------


def test_a_private_mod_is_for_its_team_and_for_others_as_if_it_were_not_there(
    client: FlaskClient, publisher: Publisher, database: Database, dora: Account
) -> None:
    publish(publisher, document(id="secret", title="Secret plans", private=True), dora.user_id)
    publish(publisher, document(id="open", version="1.0.0"), dora.user_id)
    publish(publisher, document(id="open", version="2.0.0", private=True, needs=[("secret", None)]), dora.user_id)
    hidden = ("/mods/secret", "/mods/secret/1.0.0", "/mods/secret/1.0.0/files/0", "/mods/open/2.0.0")
    for stranger in (None, add_account(database, "erik")):
        if stranger:
            log_in(client, stranger)
        for path in hidden:
            missing = client.get(path.replace("secret", "nothing").replace("2.0.0", "3.0.0"))
            answer = client.get(path)
            assert (answer.status_code, answer.text) == (404, missing.text)
        for path in ("/mods", "/mods?q=secret", "/", "/mods/open"):
            assert "Secret plans" not in client.get(path).text
        assert "2.0.0" not in client.get("/mods/open").text
    for insider in (dora, add_account(database, "olga", "operator")):
        log_in(client, insider)
        assert [client.get(path).status_code for path in hidden] == [200] * 4
        assert "Only the team of this mod sees this version." in client.get("/mods/secret").text
        assert "Secret plans" in titles(client.get("/mods").text)
        assert 'href="/mods/secret"' in client.get("/mods/open/2.0.0").text


def test_a_withdrawn_version_says_so_and_a_deleted_one_is_gone(
    client: FlaskClient, publisher: Publisher, dora: Account
) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        publish(publisher, document(version=version), dora.user_id)
    identity, by = identity_of(dora), Actor("dora")
    publisher.releases.yank(identity, "alpha", "1.2.0", f"It crashes. {HOSTILE}", by)
    publisher.releases.delete(identity, "alpha", "1.0.0", by)
    page = client.get("/mods/alpha").text
    assert '<span class="mod-version">1.1.0</span>' in page
    assert "/mods/alpha/1.2.0" in page
    assert "/mods/alpha/1.0.0" not in page
    yanked = client.get("/mods/alpha/1.2.0").text
    assert "This version was withdrawn: It crashes. &lt;script&gt;" in yanked
    assert "This is not the latest version" in yanked
    assert client.get("/mods/alpha/1.0.0").status_code == 404


@pytest.mark.parametrize(
    "path", ["/mods/x", "/mods/..%2f", "/mods/%00", "/mods/alpha/%00", "/mods/alpha/1.0", "/mods/a b"]
)
def test_what_does_not_exist_is_a_404(client: FlaskClient, publisher: Publisher, dora: Account, path: str) -> None:
    publish(publisher, document(), dora.user_id)
    assert client.get(path).status_code == 404


# --- the list --------------------------------------------------------------------------------------------


def test_the_list_is_searched_filtered_sorted_and_turned(
    client: FlaskClient, publisher: Publisher, dora: Account
) -> None:
    for number in range(26):
        publish(publisher, document(id=f"mod-{number:02}", title=f"Mod {number:02}"), dora.user_id)
    publish(publisher, document(id="eng", title="Engine 100%", type="engine", stability="nightly"), dora.user_id)
    first = client.get("/mods?sort=title").text
    assert titles(first) == ["Engine 100%", *(f"Mod {number:02}" for number in range(23))]
    turned = re.search(r'rel="next" href="([^"]+)"', first)
    assert turned is not None
    second = client.get(turned[1].replace("&amp;", "&")).text
    assert titles(second) == ["Mod 23", "Mod 24", "Mod 25"]
    assert "Page 2 of 2" in second
    for query, found in (
        ("q=mod+07", ["Mod 07"]),
        ("q=100%25", ["Engine 100%"]),
        ("q=0_", []),
        ("type=engine", ["Engine 100%"]),
        ("stability=nightly&type=mod", []),
        ("stability=nightly", ["Engine 100%"]),
    ):
        assert titles(client.get(f"/mods?{query}").text) == found
    for odd in ("page=99999999999999999999", "page=-3", "page=x", "type=%00", "sort=x", "q=%00%25" + "x" * 5000):
        assert client.get(f"/mods?{odd}").status_code == 200


def test_what_was_searched_for_stays_in_the_form(client: FlaskClient) -> None:
    page = client.get("/mods", query_string={"q": f'"{HOSTILE}', "type": "tc"}).text
    assert 'value="&#34;&lt;script&gt;' in page
    assert '<option value="tc" selected>' in page
    assert "No mod passes these filters." in page


# --- a mod's page ----------------------------------------------------------------------------------------


def test_a_mods_page_says_all_there_is_to_know(client: FlaskClient, publisher: Publisher, dora: Account) -> None:
    publish(publisher, document(id="base", title="The base"), dora.user_id)
    outside = {"filename": "outside.7z", "dest": "", "checksum": ["sha256", sha256_of("o")], "filesize": 5_000_000}
    needs = [("base", ">=1.0.0"), ("nowhere", None)]
    packages = [
        *with_packages({"dependencies": document(needs=needs).model_dump(mode="json")["packages"][0]["dependencies"]}),
        *with_packages(
            {
                "name": "More",
                "status": "optional",
                "environment": "windows && x86_64",
                "notes": "Only [b]with[/b] voices.",
                "files": [outside | {"urls": ["https://a.example/outside.7z"]}],
            }
        ),
    ]
    publish(publisher, document(title="The top", packages=packages, videos=["https://v.example/1"]), dora.user_id)
    page = client.get("/mods/alpha").text
    archive = "alpha-1.0.0.7z"
    for text in (
        f'href="/storage/files/{sha256_of(archive)}/{archive}"',
        f'data-copy="{sha256_of(archive)}"',
        'href="https://a.example/outside.7z"',
        "windows &amp;&amp; x86_64",
        "Only <strong>with</strong> voices.",
        'href="/mods/base">The base</a>',
        "1.0.0 or newer",
        "not on this server",
        'href="https://v.example/1"',
        "5.00 MB",
        "dora",
        "to report a problem",
    ):
        assert text in page, text
    assert 'href="/mods/alpha">The top</a>' in client.get("/mods/base").text


def test_strangers_texts_stay_texts_and_the_page_needs_no_inline_script(
    client: FlaskClient, publisher: Publisher, dora: Account
) -> None:
    files = document().model_dump(mode="json")["packages"][0]["files"]
    hostile = document(
        title=HOSTILE,
        description=f"[url=javascript:alert(1)]x[/url] {HOSTILE}",
        notes=HOSTILE,
        cmdline=HOSTILE,
        videos=["javascript:alert(1)"],
        release_thread="javascript:alert(1)",
        packages=with_packages({"name": HOSTILE, "notes": HOSTILE, "environment": HOSTILE, "files": files}),
    )
    publish(publisher, hostile, dora.user_id)
    for path in ("/mods", "/mods/alpha", "/"):
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert not re.search(r'href="\s*javascript', page)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|<[^>]*\son\w+=", page)


def test_five_thousand_files_are_a_list_that_sha256sum_reads_and_not_part_of_the_page(
    client: FlaskClient, publisher: Publisher, dora: Account
) -> None:
    names = [f"data/voice/line-{number:04}.ogg" for number in range(5000)]
    archive = "alpha-1.0.0.7z"
    filelist = [
        {"filename": name, "archive": archive, "orig_name": name, "checksum": ["sha256", sha256_of(name)]}
        for name in names
    ]
    publish(publisher, document(packages=with_packages({"filelist": filelist})), dora.user_id)
    page = client.get("/mods/alpha")
    assert "5,000 installed files" in page.text
    assert len(page.data) < 30_000
    answer = client.get("/mods/alpha/1.0.0/files/0")
    assert answer.mimetype == "text/plain"
    assert answer.text.splitlines() == [f"{sha256_of(name)}  {name}" for name in names]
    for number in ("1", "-1", "9" * 30):
        assert client.get(f"/mods/alpha/1.0.0/files/{number}").status_code == 404


def test_a_report_needs_an_account_and_keeps_what_was_typed(
    client: FlaskClient, publisher: Publisher, dora: Account, database: Database
) -> None:
    publish(publisher, document(), dora.user_id)
    path, form = "/mods/alpha/1.0.0/report", {"message": "It does not start."}
    from_page = SAME_ORIGIN | {"Referer": "http://localhost/mods/alpha"}
    assert client.post(path, data=form, headers=from_page).location == "/login?next=/mods/alpha"
    log_in(client, add_account(database, "erik"))
    assert client.post(path, data=form, headers={"Origin": "https://evil.example"}).status_code == 403
    empty = client.post(path, data={"message": "  "}, headers=SAME_ORIGIN)
    assert (empty.status_code, "Say what is wrong." in empty.text) == (400, True)
    long = client.post(path, data={"message": "x" * 20_000 + "<b>"}, headers=SAME_ORIGIN)
    assert (long.status_code, "x&lt;b&gt;</textarea>" in long.text) == (400, True)
    done = client.post(path, data=form, headers=SAME_ORIGIN)
    assert (done.status_code, done.location) == (303, "/mods/alpha/1.0.0?reported=1")
    assert "Thank you." in client.get(done.location).text
    (report,) = publisher.reports.of_mod(identity_of(dora), "alpha")
    assert (report.user, report.message) == ("erik", "It does not start.")
    assert client.post("/mods/alpha/9.9.9/report", data=form, headers=SAME_ORIGIN).status_code == 404


# --- logs ------------------------------------------------------------------------------------------------


def test_a_log_is_shown_by_lines_and_sent_as_plain_text(client: FlaskClient, publisher: Publisher) -> None:
    text = f"Starting\n{HOSTILE}\nERROR: broken\nWARNING: odd\n"
    log_id = publisher.logs.add(text)
    page = client.get(f"/log/{log_id}")
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert 'id="L2"' in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script>alert" not in page.text
    assert re.search(r'id="L3" data-level="error".*id="L4" data-level="warning"', page.text, re.DOTALL)
    raw = client.get(f"/log/{log_id}/raw")
    assert (raw.mimetype, raw.text) == ("text/plain", text)
    assert raw.headers["X-Content-Type-Options"] == "nosniff"
    assert raw.headers["Content-Disposition"].startswith("attachment")
    for missing in ("x", "0" * 32, "%00"):
        assert client.get(f"/log/{missing}").status_code == 404
        assert client.get(f"/log/{missing}/raw").status_code == 404


def test_a_long_log_comes_in_pages_whose_lines_are_linked(client: FlaskClient, publisher: Publisher) -> None:
    log_id = publisher.logs.add("fine\n" * 10_000 + "ERROR: late\n")
    first = client.get(f"/log/{log_id}").text
    assert f'href="/log/{log_id}?page=2#L10001"' in first
    assert 'id="L10001"' not in first
    second = client.get(f"/log/{log_id}?page=2").text
    assert 'id="L10001"' in second
    assert 'href="#L10001"' in second
    assert client.get(f"/log/{log_id}?page=x").status_code == 200
