"""The pages of docs/: links lead somewhere, and what is written from the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from knossos.accounts.tokens import Scope
from knossos.settings import Settings
from knossos.web.openapi import document
from scripts import docs_links, settings_reference
from scripts.docs_links import Link


def test_all_links_of_readme_and_docs_lead_somewhere() -> None:
    assert docs_links.broken() == []


def test_many_links_are_looked_at() -> None:
    found = [link for page in docs_links.pages() for link in docs_links.links(page)]
    assert len(found) > 100
    assert any(link.heading for link in found)
    assert any(link.is_external for link in found)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("docs/nothing.md", "no such file"),
        ("docs/settings.md#no-such-heading", "no such heading"),
        ("#no-such-heading", "no such heading"),
        ("LICENSE#terms", "no such heading"),
        ("../elsewhere.md", "out of the repository"),
        ("/docs/settings.md", "out of the repository"),
        ("", "nowhere"),
        ("https://", "no address"),
        ("https://not a host/", "no address"),
        ("javascript:alert(1)", "no address"),
        ("mailto:nobody", "no address"),
    ],
)
def test_a_link_that_leads_nowhere_is_told(target: str, reason: str) -> None:
    assert reason in docs_links.wrong(Link(docs_links.ROOT / "README.md", 1, target))


def test_a_file_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`knossos/settings.py`, `conf/systemd/`, `conf/settings.py`, `tests/nothing.py`, `a/b.py`\n")
    assert list(docs_links.missing_names(page)) == ["tests/nothing.py"]


def test_links_in_code_are_no_links_and_lines_are_counted(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```sh\n[a](b)\n```\n\n`x` and [one](two.md#three)\n<https://example.org/>\n")
    assert [(link.line, link.target) for link in docs_links.links(page)] == [
        (7, "two.md#three"),
        (8, "https://example.org/"),
    ]


def test_headings_are_called_as_sites_call_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The page `/home/`\n\n```sh\n# no heading\n```\n\n## People's [own](x.md) things\n\n## Who may\n")
    assert docs_links.anchors(page) == {"the-page-home", "peoples-own-things", "who-may"}


def test_the_page_of_settings_is_what_make_template_writes() -> None:
    assert settings_reference.DOCUMENT.read_text("utf-8") == settings_reference.text(), "run: make template"


def test_the_page_of_settings_has_each_setting_once_with_its_purpose() -> None:
    parts = [part for group in settings_reference.groups() for part in group.parts]
    listed = [name.lower() for part in parts for name, _ in part.settings]
    assert sorted(listed) == sorted(Settings.model_fields)
    assert all(part.about for part in parts)


def test_the_page_on_security_has_every_scope_of_tokens() -> None:
    page = (docs_links.DOCS / "security.md").read_text("utf-8")
    assert [scope for scope in Scope if f"`{scope}`" not in page] == []


def test_every_page_is_in_the_navigation_and_every_decision_in_its_list() -> None:
    navigation = (docs_links.ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    decisions = (docs_links.DOCS / "decisions" / "index.md").read_text("utf-8")
    for page in docs_links.DOCS.rglob("*.md"):
        listed = f"]({page.name})" in decisions if page.name[0].isdigit() else str(page.relative_to(docs_links.DOCS))
        assert listed is True or (isinstance(listed, str) and listed in navigation), page


def test_the_pages_of_protocols_name_every_request_that_is_described_and_no_other() -> None:
    described = {
        (method.upper(), _without_names(path))
        for path, operations in document("https://mods.example.org")["paths"].items()
        for method in operations
    }
    pages = [*(docs_links.DOCS / "protocols").glob("*.md"), docs_links.DOCS / "schedules.md"]
    request = re.compile(r"`(GET|POST|PUT|PATCH|DELETE|OPTIONS) (/[^`\s?]*)[^`]*`")
    named = {
        (method, _without_names(path)) for page in pages for method, path in request.findall(page.read_text("utf-8"))
    }
    assert named == described


def _without_names(path: str) -> str:
    return re.sub(r"\{[^}]*\}|<[^>]*>", "{}", path)
