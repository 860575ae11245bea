"""The stored files that a full mod speaks of, found in it as it was sent, whatever else is wrong with it.

Owns which images and archives must be stored, and who may name other places. Problems of form are none of its
business: what it cannot read it passes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.packaging.description.problems import join_path
from knossos.publishing.blobs import IMAGE_EXTENSIONS
from knossos.publishing.release_input import InputProblem, is_own_url, read_checksum, sha256_of_image
from knossos.publishing.tables import Blob

#: Rows that are asked for at a time.
_BATCH = 500

#: The fields of a mod that hold an image, and those that hold a list of them.
IMAGES, IMAGE_LISTS = ("logo", "tile", "banner"), ("screenshots", "attachments")


@dataclass(frozen=True)
class Known:
    """Stored files: the name of each that is an image, and the size in bytes of each."""

    images: dict[str, str]
    sizes: dict[str, int]


def images_in(data: Any) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of each image."""
    if not isinstance(data, dict):
        return
    places = [(name, data.get(name)) for name in IMAGES]
    for name in IMAGE_LISTS:
        places += _items(name, data.get(name))
    for path, value in places:
        try:
            if isinstance(value, str) and value.strip():
                yield path, sha256_of_image(value)
        except ValueError:
            continue


def files_in(data: Any) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Path, entry, and SHA-256 (None: none that can be read) of each file of each package."""
    for path, package in _items("packages", data.get("packages") if isinstance(data, dict) else None):
        if isinstance(package, dict):
            for place, file in _items(join_path(path, "files"), package.get("files")):
                if isinstance(file, dict):
                    yield place, file, read_checksum(file.get("checksum"))


def foreign_urls(file: dict[str, Any], sha256: str | None) -> list[str]:
    """The addresses of a file that are not those under which this server serves it."""
    urls = file.get("urls")
    found = urls if isinstance(urls, list) else []
    return [url for url in found if isinstance(url, str) and not (sha256 and is_own_url(url, sha256))]


def look_up(session: Session, data: Any) -> Known:
    """What is known of the files and images in ``data``."""
    wanted = sorted({sha256 for _, sha256 in images_in(data)} | {one for _, _, one in files_in(data) if one})
    known = Known({}, {})
    for start in range(0, len(wanted), _BATCH):
        query = select(Blob.sha256, Blob.content_type, Blob.size).where(Blob.sha256.in_(wanted[start : start + _BATCH]))
        for sha256, content_type, size in session.execute(query):
            known.sizes[sha256] = size
            if content_type in IMAGE_EXTENSIONS:
                known.images[sha256] = f"{sha256}.{IMAGE_EXTENSIONS[content_type]}"
    return known


def problems_of_references(data: Any, known: Known, *, is_operator: bool) -> list[InputProblem]:
    """Images and archives that are not stored, and places that the sender may not name."""
    problems = []
    for path, sha256 in images_in(data):
        if sha256 not in known.images:
            text = "expected the SHA-256 of an image that is stored here; upload it first"
            problems.append(InputProblem(path, text, "image missing", {"image": sha256}))
    for path, file, found in files_in(data):
        foreign = foreign_urls(file, found)
        if foreign and not is_operator:
            text = "expected no addresses: only operators of this site may publish files that lie elsewhere"
            problems.append(InputProblem(join_path(path, "urls"), text, "urls unauthorized"))
        if found is not None and found not in known.sizes and not (foreign and is_operator):
            text = f"the file with the SHA-256 {found} is not stored here; upload it first"
            problems.append(InputProblem(join_path(path, "checksum"), text, "archive missing", {"archive": found}))
    return problems


def _items(path: str, value: Any) -> list[tuple[str, Any]]:
    return [(join_path(path, index), item) for index, item in enumerate(value)] if isinstance(value, list) else []
