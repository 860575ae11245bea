"""What hosters need of a web page: its links, its forms and its scripts. Nothing is ever run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from html.parser import HTMLParser

#: Types of input fields into which a person writes.
_WRITTEN = ("text", "", "search", "tel", "number")


@dataclass
class Form:
    """A form: `fields` are its inputs with their values, `text_field` the first one that is to be filled in."""

    name: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    text_field: str = ""
    images: list[str] = field(default_factory=list)


class Page:
    """A page. `links` are the attributes of its `a` elements, `scripts` the texts of its scripts.

    Broken HTML is read as far as it goes.
    """

    def __init__(self, url: str, html: str) -> None:
        self.url = url
        self.links: list[dict[str, str]] = []
        self.forms: list[Form] = []
        self.scripts: list[str] = []
        parser = _Parser(self)
        with contextlib.suppress(AssertionError):  # Python's parser gives up so at a broken declaration
            parser.feed(html)
            parser.close()

    def captcha(self) -> Form | None:
        """The form that asks for the code in a picture: it has both a picture and a field to write into."""
        named = [form for form in self.forms if "captcha" in form.name.lower()]
        asking = [form for form in self.forms if form.images and form.text_field]
        return next(iter(named or asking), None)


class _Parser(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self._page = page
        self._form: Form | None = None
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._page.links.append(values)
        elif tag == "script":
            self._in_script = True
            self._page.scripts.append("")
        elif tag == "form":
            name = f"{values.get('id', '')} {values.get('name', '')}".strip()
            self._form = Form(name, values.get("action", ""))
            self._page.forms.append(self._form)
        elif self._form is not None and tag == "img" and values.get("src"):
            self._form.images.append(values["src"])
        elif self._form is not None and tag == "input" and values.get("name"):
            self._add_input(self._form, values)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "script":
            self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self._page.scripts[-1] += data

    @staticmethod
    def _add_input(form: Form, values: dict[str, str]) -> None:
        kind = values.get("type", "").lower()
        if kind in ("checkbox", "radio") and "checked" not in values:
            return
        form.fields[values["name"]] = values.get("value", "")
        if kind in _WRITTEN and not form.text_field:
            form.text_field = values["name"]
