"""Descriptions of mods as HTML: the tags that are known, and that nothing else gets through."""

from __future__ import annotations

import re

import pytest

from knossos.web.markup import MAX_DEPTH, markup, outside_link, plain

LINK = '<a href="{}" rel="nofollow noopener noreferrer">{}</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain & <b>bold</b>\r\nnext", "plain &amp; &lt;b&gt;bold&lt;/b&gt;\nnext"),
        ("[b]one [i]two[/i][/B]", "<strong>one <em>two</em></strong>"),
        ("[h2]Title[/h2]\n\n\n\ntext", "<strong>Title</strong>\n\ntext"),
        ("[list][*]one\n[*]two[/list]", "\u2022 one\n\u2022 two"),
        ("[color=#ff0000][size=5]big[/size][/color]", "big"),
        ("[brackets] stay [1]", "[brackets] stay [1]"),
        ("[url=https://a.example/x?y=1&z=2]here[/url]", LINK.format("https://a.example/x?y=1&amp;z=2", "here")),
        ("[url]https://a.example[/url]", LINK.format("https://a.example", "https://a.example")),
        ("see http://a.example/b. Or", "see " + LINK.format("http://a.example/b", "http://a.example/b") + ". Or"),
        ("[img]https://a.example/b.png[/img]", LINK.format("https://a.example/b.png", "https://a.example/b.png")),
    ],
)
def test_the_tags_of_the_mod_managers_become_elements(text: str, html: str) -> None:
    assert markup(text) == html


def test_tags_in_the_wrong_order_are_closed() -> None:
    assert markup("[b]one[i]two[/b]three[/i]") == "<strong>one<em>two</em></strong>three"
    assert markup("[/b][/url]x[quote]y") == "x<q>y</q>"


def test_a_link_in_a_link_stays_text() -> None:
    inner = "[url=https://b.example]b[/url] https://c.example"
    assert markup(f"[url=https://a.example]{inner}[/url]") == LINK.format("https://a.example", "b https://c.example")


@pytest.mark.parametrize(
    "text",
    [
        "[url=javascript:alert(1)]x[/url]",
        "[url=JaVaScRiPt:alert(1)]x[/url]",
        '[url=https://a.example/" onclick="alert(1)]x[/url]',
        "[url=data:text/html,<script>]x[/url]",
        "<script>alert(1)</script>",
        'https://a.example/"><script>alert(1)</script>',
        "[b onmouseover=alert(1)]x[/b]",
        "[img]javascript:alert(1)[/img]",
        "[url='https://a.example/'onclick='x']x[/url]",
    ],
)
def test_nothing_but_text_and_web_links_comes_through(text: str) -> None:
    html = str(markup(text))
    assert "<script" not in html
    for tag in re.findall(r"<[^>]*>", html):
        assert re.fullmatch(r'</?(strong|em|u|s|code|q|a)>|<a href="https?://[^"]*" rel="[a-z ]+">', tag), tag


def test_deep_nesting_and_many_tags_end() -> None:
    html = markup("[b]" * 5000 + "x" + "[/b]" * 5000)
    assert html.count("<strong>") == html.count("</strong>") == MAX_DEPTH
    assert markup("[" * 50_000 + "[url=" * 10_000).endswith("[url=")


def test_an_address_that_is_none_of_the_web_is_shown_and_not_linked() -> None:
    assert outside_link("file:///etc/passwd") == "file:///etc/passwd"
    assert outside_link("https://a.example", "A") == LINK.format("https://a.example", "A")


def test_the_beginning_of_a_text_is_one_line_without_tags() -> None:
    text = "[b]One[/b]\n\n[list][*]two[/list] [url=https://a.example]three[/url] <b> https://b.example"
    assert plain(text) == "One \u2022two three <b> https://b.example"
    assert len(plain("word " * 1000)) <= 400
