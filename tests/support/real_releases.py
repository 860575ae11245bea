"""Releases with real archives in a real storage, made from a few lines."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from knossos.accounts.tokens import Identity, Scope
from knossos.database import Database
from knossos.jobs import Engine
from knossos.packaging.tree import join
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.mods import ModFacts
from knossos.publishing.publisher import Publisher
from knossos.settings import Settings
from tests.support.archives import zip_of
from tests.support.releases import add_user, document, sha256_of


class Shelf:
    """A publisher with an account, dora, who owns the mod ``alpha``."""

    def __init__(self, settings: Settings, database: Database, engine: Engine, folder: Path) -> None:
        self.publisher = Publisher(settings, database, engine)
        self.user_id = add_user(database, "dora")
        self.identity = Identity(self.user_id, "dora", frozenset(), frozenset(Scope))
        self._folder = folder
        self._numbers = itertools.count()
        self.publisher.mods.create(ModFacts("alpha", "The alpha mod", "tc"), self.user_id)

    def keep(self, data: bytes, content_type: str = "application/octet-stream") -> str:
        """Store some bytes; their SHA-256."""
        path = self._folder / f"incoming-{next(self._numbers)}"
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        self.publisher.blobs.adopt(
            path, sha256=sha256, size=len(data), content_type=content_type, owner_id=self.user_id
        )  # fmt: skip
        return sha256

    def release(
        self, files: Mapping[str, bytes], *, dest: str = "", stored: bool = True, **changes: Any
    ) -> ReleaseDocument:
        """A release of one package with one zip of these files, which is stored."""
        data = zip_of(files)
        sha256 = self.keep(data) if stored else hashlib.sha256(data).hexdigest()
        made = document(**changes)
        package = made.packages[0].model_dump(mode="json")
        package["files"] = [
            {"filename": "core.zip", "dest": dest, "checksum": ["sha256", sha256], "filesize": len(data)}
        ]  # fmt: skip
        package["filelist"] = [
            {
                "filename": join(dest, name),
                "archive": "core.zip",
                "orig_name": name,
                "checksum": ["sha256", hashlib.sha256(content).hexdigest()],
            }
            for name, content in files.items()
        ]
        return ReleaseDocument.model_validate({**made.model_dump(mode="json"), "packages": [package]})


__all__ = ["Shelf", "sha256_of"]
