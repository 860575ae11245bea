"""The pages of docs/: links lead somewhere, and what is written from the code is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from knossos.settings import Settings
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


def test_links_in_code_are_no_links_and_lines_are_counted(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```sh\n[a](b)\n```\n\n`x` and [one](two.md#three)\n<https://example.org/>\n")
    assert [(link.line, link.target) for link in docs_links.links(page)] == [
        (7, "two.md#three"),
        (8, "https://example.org/"),
    ]


def test_headings_are_called_as_sites_call_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# The page `/home/`\n\n```sh\n# no heading\n```\n\n## People's [own](x.md) scripts\n\n## Who may\n"
    )
    assert docs_links.anchors(page) == {"the-page-home", "peoples-own-things", "who-may"}


def test_the_page_of_settings_is_what_make_template_writes() -> None:
    assert settings_reference.DOCUMENT.read_text("utf-8") == settings_reference.text(), "run: make template"


def test_the_page_of_settings_has_each_setting_once_with_its_purpose() -> None:
    parts = [part for group in settings_reference.groups() for part in group.parts]
    listed = [name.lower() for part in parts for name, _ in part.settings]
    assert sorted(listed) == sorted(Settings.model_fields)
    assert all(part.about for part in parts)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (docs_links.ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    pages = [str(page.relative_to(docs_links.DOCS)) for page in docs_links.pages() if docs_links.DOCS in page.parents]
    assert [page for page in pages if page not in navigation] == []
