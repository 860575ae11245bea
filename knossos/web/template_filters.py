"""What all templates may call: the words of `wording.py` and `mod_views.py`, marked-up texts, addresses of images."""

from __future__ import annotations

from flask import Flask

from knossos.homes.previews.texts import visible
from knossos.publishing.documents import IMAGES_ROUTE
from knossos.web import mod_views, wording
from knossos.web.markup import markup, outside_link, plain


def image(name: str) -> str:
    """The address of a stored image, on whatever name of this server the browser is."""
    return f"{IMAGES_ROUTE}/{name}"


def install(app: Flask) -> None:
    app.jinja_env.globals["image"] = image
    app.jinja_env.filters.update(
        counted=wording.counted,
        date=wording.date_of,
        day=wording.day,
        duration=wording.duration,
        download_address=mod_views.download_address,
        initials=mod_views.initials,
        iso=wording.iso,
        markup=markup,
        moment=wording.moment,
        number=wording.number,
        outside_link=outside_link,
        plain=plain,
        requirement=mod_views.requirement,
        seen=visible,
        size=wording.size,
        stability_name=mod_views.stability_name,
        type_name=mod_views.type_name,
    )
