"""The whole way in a browser, every process real: a description goes in, a worker packages it, the result is seen."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visit, chromium
from tests.support.file_server import FileServer
from tests.support.processes import worker_process, write_settings
from tests.support.site import API_KEY, Site

pytestmark = pytest.mark.xdist_group("pages all the way")


def zipped(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, data in files.items():
            writer.writestr(name, data)
    return archive.getvalue()


def test_a_mod_is_packaged_from_the_form_to_the_tree(tmp_path: Path, redis_url: str) -> None:
    with FileServer() as files, Site(tmp_path, redis_url) as site, chromium() as browser:
        archive = zipped({"mod.ini": b"[launcher]", "data/tables/a.tbm": b"x" * 4200})
        files.file("/tiny.zip", archive)
        package = {"name": "Core", "files": [{"filename": "tiny.zip", "urls": [files.url("/tiny.zip")]}]}
        broken = {"name": "Gone", "files": [{"filename": "gone.zip", "urls": [files.url("/gone.zip")]}]}
        settings = write_settings(tmp_path / "worker.py", site.settings)
        worker = worker_process(tmp_path / "worker.log", settings)
        try:
            visit = Visit(browser, site.url)
            page = visit.page
            for packages in ([package], [package, broken]):
                mod = {"id": "tiny", "title": "Tiny", "version": "3.7", "packages": packages}
                page.goto("/converter")
                page.get_by_label("Description (JSON)").fill(json.dumps(mod))
                page.get_by_label("API key").fill(API_KEY)
                page.get_by_role("button", name="Package this mod").click()
                expect(page.get_by_role("heading", level=1)).to_have_text("Tiny 3.7")
                if packages == [package]:
                    expect(page.locator("[data-state]")).to_have_text("Done")
                    page.get_by_text("data/").click()
                    page.get_by_text("tables/").click()
                    expect(page.locator(".tree-file", has_text="a.tbm")).to_contain_text("4.20 kB")
                    with page.expect_download() as download:
                        page.get_by_role("link", name="Download JSON").click()
                    result = json.loads(download.value.path().read_text())
                    (file,) = result["mods"][0]["packages"][0]["files"]
                    mirrored = visit.context.request.get(file["urls"][-1])
                    assert mirrored.body() == archive
                else:
                    expect(page.locator("[data-state]")).to_have_text("Failed")
                    panel = page.locator("[data-failure]")
                    for text in ("gone.zip", "/gone.zip", "404", "Check that the links open"):
                        expect(panel).to_contain_text(text)
            assert visit.troubles == []
            visit.close()
        finally:
            worker.stop()
