"""Taking the files of a conversion into the storage: archives and images out of the mirror, images from elsewhere too.

A file of the mirror is found by its contents, or by a link into the mirror, never by a path that somebody gives. The
mirror keeps its files: what the storage gets is another name for the same bytes, or a copy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from knossos.accounts.tokens import Identity
from knossos.jobs import JobContext
from knossos.outgoing import BrokenAnswer, OutgoingError, OutgoingHttp
from knossos.packaging.description import Problem
from knossos.packaging.description.problems import join_path, problem
from knossos.packaging.mirror import Mirror, MirrorLinkInvalid
from knossos.publishing.blobs import ANY_FILE
from knossos.publishing.converted import image_links
from knossos.publishing.errors import Refused
from knossos.publishing.publisher import Publisher

_PIECE_BYTES = 1024 * 1024


class MirroredFiles:
    def __init__(
        self, publisher: Publisher, mirror: Mirror, http: OutgoingHttp, identity: Identity, context: JobContext
    ) -> None:
        self._publisher = publisher
        self._mirror = mirror
        self._http = http
        self._identity = identity
        self._context = context
        self._images: dict[str, str] = {}

    def take_over(self, mod: Mapping[str, Any]) -> tuple[dict[str, str], list[Problem]]:
        """Store all files of a mod.

        Returns:
            The SHA-256 of each image by its address, and what could not be had.
        """
        problems: list[Problem] = []
        for path, link in image_links(mod).items():
            try:
                if link not in self._images:
                    self._images[link] = self._take_image(link)
            except (Refused, OutgoingError, MirrorLinkInvalid) as error:
                problems.append(problem(path, f"{link}: {error.message}"))
        for number, package in enumerate(mod["packages"]):
            for index, file in enumerate(package["files"]):
                try:
                    self._take_archive(file)
                except Refused as error:
                    problems.append(problem(join_path("packages", number, "files", index), error.message))
        return self._images, problems

    def _take_archive(self, file: Mapping[str, Any]) -> None:
        name, sha256, size = str(file["filename"]), str(file["checksum"][1]), int(file["filesize"])
        blobs, settings = self._publisher.blobs, self._context.settings
        if blobs.touch(sha256):
            return
        source = self._find(sha256, file["urls"])
        if source is None:
            text = f"{name} is not in the mirror any more; have the mod converted again"
            raise Refused(text, reason="archive missing", extra={"archive": sha256})
        if size > settings.publish_max_bytes:
            text = f"{name} has {size} bytes; at most {settings.publish_max_bytes} can be published"
            raise Refused(text, reason="too large")
        taken, quota = blobs.stored_bytes_of(self._identity.user_id), settings.upload_quota_bytes
        if taken + size > quota and not self._identity.is_operator:
            text = f"{name}: your account may keep {quota} bytes, and has {taken}; delete what you do not need"
            raise Refused(text, reason="quota exceeded", extra={"quota": quota, "taken": taken})
        self._context.info(f"{name}: taken over from the mirror")
        link = self._context.workspace / f"mirrored-{sha256}"
        _link_or_copy(source, link, self._context.check)
        blobs.adopt(link, sha256=sha256, size=size, content_type=ANY_FILE, owner_id=self._identity.user_id)
        link.unlink()

    def _find(self, sha256: str, links: list[str]) -> Path | None:
        record = self._mirror.index.find(sha256)
        if record is not None:
            return self._mirror.file(record.path)
        for link in links:
            if self._mirror.owns(link):
                with suppress(MirrorLinkInvalid):
                    path = self._mirror.locate(link)
                    found = self._mirror.file(path)
                    if found and self._mirror.index.hashes(path, found, check=self._context.check).sha256 == sha256:
                        return found
        return None

    def _take_image(self, link: str) -> str:
        images = self._publisher.images
        with images.receive() as incoming:
            if self._mirror.owns(link):
                found = self._mirror.file(self._mirror.locate(link))
                if found is None:
                    raise MirrorLinkInvalid("there is no such file in the mirror (any more)", link=link)
                with found.open("rb") as file:
                    while piece := file.read(_PIECE_BYTES):
                        incoming.write(piece)
            else:
                with self._http.open(link, check=self._context.check) as reply:
                    if reply.status != 200:
                        raise BrokenAnswer(f"the server answers {reply.status}", url=link)
                    while piece := reply.read1():
                        incoming.write(piece)
            sha256 = incoming.close()
            images.store(incoming, sha256, self._identity)
        return sha256


def _link_or_copy(source: Path, target: Path, check: Callable[[], None]) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as file, target.open("xb") as out:
            check()
            shutil.copyfileobj(file, out, _PIECE_BYTES)
