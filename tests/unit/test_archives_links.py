"""Links inside archives."""

from __future__ import annotations

import pytest

from knossos.packaging.archives.contents import settle_links
from knossos.packaging.archives.errors import ArchiveLinkRefused
from knossos.packaging.archives.links import check_symlinks
from knossos.packaging.archives.model import Entry, Link, LinkKind


@pytest.mark.parametrize(
    "links",
    [
        {"a": "/etc/passwd"},
        {"a": "../x"},
        {"d/a": "../../x"},
        {"a": "C:\\x"},
        {"a": "..\\x"},
        {"a": ""},
        {"a": "b", "b": "a"},
        {"a": "a"},
        # Harmless by its text, but the link on its way leads up.
        {"a/b/up": "../..", "out": "a/b/up/../x"},
    ],
)
def test_a_link_that_leaves_the_archive_or_goes_in_circles_is_refused(links: dict[str, str]) -> None:
    with pytest.raises(ArchiveLinkRefused) as caught:
        check_symlinks([Link(name, target) for name, target in links.items()], "mod.tar")
    assert caught.value.entry in links


@pytest.mark.parametrize(
    "links",
    [{"a": "b/c"}, {"d/a": "../x"}, {"d/a": "./b"}, {"lib.so": "lib.so.1", "lib.so.1": "lib.so.1.2"}, {"a": "missing"}],
)
def test_a_link_inside_is_let_through(links: dict[str, str]) -> None:
    check_symlinks([Link(name, target) for name, target in links.items()], "mod.tar")


def test_a_hard_link_is_a_file_with_its_target_s_content() -> None:
    entries = {"a": Entry("a", 3, "m", "s", 7)}
    settle_links([Link("b", "./a", LinkKind.HARD), Link("c", "b", LinkKind.HARD)], entries, "x")
    assert entries["c"] == Entry("c", 3, "m", "s", 7)


def test_a_hard_link_to_a_symlink_is_a_symlink() -> None:
    links = settle_links([Link("s", "t"), Link("h", "s", LinkKind.HARD)], {}, "x")
    assert links == [Link("s", "t"), Link("h", "t")]


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "nowhere", ""])
def test_a_hard_link_to_elsewhere_is_refused(target: str) -> None:
    with pytest.raises(ArchiveLinkRefused):
        settle_links([Link("h", target, LinkKind.HARD)], {}, "x")
