"""`make docs` on a fresh clone: it builds, and its pages ask no other host for anything, from a server or the disk."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from knossos.settings import ROOT
from scripts import docs_links
from tests.support import machine
from tests.support.browser import chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Clones share one virtual environment, which only one at a time may change.
    pytest.mark.xdist_group("clones"),
]


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    # Into the project's own environment first: the clones only look at it.
    command = ["./launch.sh", "environment", "requirements-docs.txt"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    with tempfile.TemporaryDirectory(prefix="knossos-") as folder:
        yield machine.fresh_clone(Path(folder))


@pytest.fixture(scope="module")
def site(clone: Path) -> Path:
    built = make_docs(clone)
    assert built.returncode == 0, built.stdout
    return clone / "var" / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def make_docs(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "docs"],
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )


def test_every_page_is_built_and_git_sees_none_of_it(clone: Path, site: Path) -> None:
    for page in docs_links.DOCS.rglob("*.md"):
        assert (site / page.relative_to(docs_links.DOCS)).with_suffix(".html").is_file(), page
    assert "/var/" in (clone / ".gitignore").read_text().splitlines()


def test_files_that_pages_link_to_are_part_of_the_site(site: Path) -> None:
    assert 'href="tree/conf/settings.py.dist.txt"' in (site / "settings.html").read_text()
    assert (site / "tree/conf/settings.py.dist.txt").read_text() == (ROOT / "conf/settings.py.dist").read_text()
    assert "handle_csv.py\n" in (site / "tree/examples/scripts.txt").read_text()


def test_pages_ask_no_other_host_and_can_be_searched(address: str, site: Path, browser: Browser) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    for start in (address, site.as_uri()):
        for name in ("index.html", "settings.html", "tutorials/lab.html", "protocols/index.html"):
            page.goto(f"{start}/{name}", wait_until="networkidle")
    page.goto(f"{address}/index.html", wait_until="networkidle")
    # Key by key: what stands there before its script listens is not looked for.
    page.locator("input.md-search__input").press_sequentially("backup")
    expect(page.locator(".md-search-result__link").first).to_be_visible()
    page.close()
    own = (f"{address}/", f"{site.as_uri()}/", "blob:", "data:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert len(asked) > 20


@pytest.mark.parametrize("wrong", ["[x](nothing.md)", "[x](settings.md#nothing)", "[x](../conf/nothing.conf)"])
def test_a_broken_link_keeps_the_site_from_being_built(clone: Path, site: Path, wrong: str) -> None:
    page = clone / "docs" / "index.md"
    text = page.read_text()
    page.write_text(f"{text}\n{wrong}\n")
    built = make_docs(clone)
    page.write_text(text)
    assert built.returncode != 0
    assert "docs/index.md" in built.stdout


def test_without_make_mkdocs_refuses_broken_links_as_well(clone: Path, site: Path) -> None:
    page = clone / "docs" / "index.md"
    text = page.read_text()
    page.write_text(f"{text}\n[x](settings.md#nothing)\n")
    command = [str(ROOT / "py-env/bin/python"), "-m", "mkdocs", "build", "--site-dir", str(clone / "var/other")]
    built = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=300, check=False)
    page.write_text(text)
    shutil.rmtree(clone / "var/other", ignore_errors=True)
    assert built.returncode != 0
    assert "settings.md#nothing" in built.stderr
