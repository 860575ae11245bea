"""Images that mods are shown with: checked as they come in, then stored as blobs of their kind.

An image is what Pillow recognises by its beginning as PNG, JPEG, GIF or WebP, of a bearable size; nothing is decoded
here, so a small file that would unfold to gigapixels costs nothing. What is wrong is refused before it is stored.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from knossos.accounts.tokens import Identity
from knossos.publishing.blobs import Blobs
from knossos.publishing.errors import Refused
from knossos.publishing.uploads.upload_file import storage_errors
from knossos.settings import Settings
from knossos.storage import UNFINISHED_PREFIX, Storage

#: What Pillow calls the images that may be published. MPO is a JPEG with further pictures behind it, as cameras do.
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
_DECODERS = ("PNG", "JPEG", "GIF", "WEBP")

#: Largest image: pixels of a side, and of all.
MAX_SIDE = 16_384
MAX_PIXELS = 50_000_000

# Pillow would warn of sizes that are checked here, more strictly.
Image.MAX_IMAGE_PIXELS = None


class IncomingImage:
    """An image on its way in; `write` its bytes."""

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self.size = 0
        self._most = most
        self._hash = hashlib.sha256()
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by `close`)

    def write(self, data: bytes) -> None:
        """Raises Refused as soon as there are too many bytes."""
        self.size += len(data)
        if self.size > self._most:
            raise Refused(
                f"An image may have at most {self._most} bytes.", reason="too large", extra={"most": self._most}
            )
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> str:
        """The SHA-256 of what was written."""
        self._file.close()
        return self._hash.hexdigest()


class Images:
    def __init__(self, settings: Settings, storage: Storage, blobs: Blobs) -> None:
        self._settings = settings
        self._blobs = blobs
        #: Beside the stored files, so that storing one needs no copy; in an object store there is no such place.
        self.incoming_folder = (storage.folder or settings.data_path) / "incoming"

    @contextmanager
    def receive(self) -> Iterator[IncomingImage]:
        """A place for the bytes of an image; whatever was not stored at the end is gone."""
        path = self.incoming_folder / f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}"
        with storage_errors():
            self.incoming_folder.mkdir(parents=True, exist_ok=True)
            incoming = IncomingImage(path, self._settings.image_max_bytes)
            try:
                yield incoming
            finally:
                incoming.close()
                path.unlink(missing_ok=True)

    def store(
        self,
        incoming: IncomingImage,
        checksum: str,
        owner: Identity,
        *,
        content_checksum: str | None = None,
        vp_checksum: str | None = None,
    ) -> None:
        """Store what has arrived.

        Args:
            checksum: its SHA-256 as the client says.

        Raises:
            Refused: it is something else, no image, or more than the account may store.
        """
        if incoming.close() != checksum:
            raise Refused("What arrived has another SHA-256 than the one that was announced.", reason="checksum")
        kind = recognise(incoming.path)
        if not self._blobs.touch(checksum):
            self._check_quota(owner, incoming.size)
        self._blobs.adopt(
            incoming.path,
            sha256=checksum,
            size=incoming.size,
            content_type=kind,
            owner_id=owner.user_id,
            content_checksum=content_checksum,
            vp_checksum=vp_checksum,
        )

    def _check_quota(self, owner: Identity, size: int) -> None:
        quota, taken = self._settings.upload_quota_bytes, self._blobs.stored_bytes_of(owner.user_id)
        if taken + size > quota and not owner.is_operator:
            raise Refused(
                f"Your account may keep {quota} bytes, and has {taken}; delete what you do not need.",
                reason="quota exceeded",
                extra={"quota": quota, "taken": taken},
            )


def recognise(path: Path) -> str:
    """The content type of an image.

    Raises:
        Refused: it is none of the kinds that may be published, it is broken, or it is too large to be shown.
    """
    try:
        with Image.open(path, formats=_DECODERS) as image:
            kind, (width, height) = image.format, image.size
            image.verify()
    except Exception as error:  # a broken image makes Pillow raise almost anything
        raise Refused(
            "This is no image, or a broken one. PNG, JPEG, GIF and WebP may be published.", reason="invalid mime"
        ) from error
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise Refused(
            f"The image has {width} x {height} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS} in all may be shown.",
            reason="invalid mime",
        )
    return KINDS[str(kind)]
