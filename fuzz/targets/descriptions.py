"""Mod descriptions of conversions, and mods and releases as mod managers send them: JSON that is nearly right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutation import json_bytes, mutated_json
from fuzz.targets import Place
from knossos.errors import KnossosError
from knossos.packaging.description.request import ConversionRequest, parse_request
from knossos.publishing.release_input import read_mod, read_release
from knossos.settings import ROOT

PLACE = Place.PROCESS

#: With something in every field that the schema has.
WHOLE: dict[str, Any] = {
    "mods": [
        {
            "id": "starlit", "title": "Starlit Passage", "version": "1.2.0", "type": "mod", "folder": "starlit",
            "description": "A [b]mod[/b].", "notes": "", "cmdline": "-spec", "logo": "logo.jpg", "tile": None,
            "banner": None, "release_thread": "https://example.org/t", "videos": ["https://example.org/v"],
            "screenshots": [], "attachments": [], "first_release": "2020-01-02", "last_update": "2021-02-03",
            "parent": "FS2", "stability": "stable", "mod_flag": ["starlit"], "owners": [], "private": False,
            "packages": [
                {
                    "name": "Core", "notes": "", "folder": "core", "is_vp": False, "status": "required",
                    "dependencies": [{"id": "mv-root", "version": ">=3.0.0", "packages": ["Core"]}],
                    "environment": "windows && X86_64 && (sse || !sse2)",
                    "executables": [{"file": "fs2.exe", "label": None, "properties": {"x64": True, "sse2": True}}],
                    "files": [
                        {
                            "filename": "core.7z", "is_archive": True, "dest": "data", "urls": ["https://example.org/a.7z"],
                            "filesize": 1000, "checksum": ["sha256", "0" * 64], "md5sum": "0" * 32,
                        }
                    ],
                    "filelist": [
                        {
                            "filename": "data/a.txt", "archive": "core.7z", "orig_name": "a.txt",
                            "checksum": ["sha256", "0" * 64],
                        }
                    ],
                }
            ],
            "actions": [
                {"type": "delete", "paths": ["a.txt", "b/*"], "glob": True},
                {"type": "move", "paths": ["c.txt"], "dest": "d", "glob": False},
                {"type": "copy", "paths": ["e.txt"], "dest": "f"},
                {"type": "mkdir", "paths": ["g"]},
            ],
        }
    ],
    "includes": [],
    "remote_includes": ["https://example.org/more.json"],
}  # fmt: skip


def seeds() -> list[Any]:
    """Descriptions that are right."""
    example = json.loads((ROOT / "static" / "example_mod.json").read_text("utf-8"))
    return [WHOLE, WHOLE["mods"][0], example]


def inputs(random: Random) -> Iterator[bytes]:
    known = seeds()
    while True:
        yield json_bytes(random, mutated_json(random, random.choice(known), most=4))


def make(folder: Path) -> Callable[[bytes], None]:
    (folder / "included.json").write_text(json.dumps(WHOLE))

    def take(data: bytes) -> None:
        _convert(data, None)
        _convert(data, folder)
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return
        mods = document.get("mods") if isinstance(document, dict) else None
        for part in (document, *(mods if isinstance(mods, list) else ())):
            read_release(part)
            read_mod(part)

    return take


def _convert(data: bytes, includes: Path | None) -> None:
    try:
        request = parse_request(data, allow_includes=includes)
    except KnossosError:
        return
    # What was accepted is kept in Redis, and read again by the worker.
    kept = json.dumps(request.as_payload()).encode("utf-8")
    ConversionRequest.from_payload(json.loads(kept))
