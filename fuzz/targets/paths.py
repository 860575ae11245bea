"""Paths where they are used: homes with links and pipes in them, the storage, the mirror, scripts and runners.

Beside each root lie canaries, and links in the roots lead to them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from fuzz.canaries import Watch, must_not_tell, plant
from fuzz.hostile import TEXTS
from fuzz.mutation import text
from fuzz.targets import Place
from knossos.errors import KnossosError
from knossos.homes import Homes
from knossos.homes.home import Home
from knossos.homes.opened import OpenedFile
from knossos.homes.zips import zip_of
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.scripting.catalogue import Catalogue
from knossos.scripting.runners.folder import Runners
from knossos.settings import Settings
from knossos.storage import Storage
from knossos.web.mirror_files import find_file

PLACE = Place.PROCESS

#: Names that are there, and ways out.
NAMES = (
    "a.txt",
    "folder",
    "deep",
    "link",
    "away",
    "loop",
    "pipe",
    "up",
    "..",
    ".",
    "",
    "x",
    "..",
    "canary.txt",
    "outside",
    "1",
    "2",
)
#: What is done with paths.
VERBS = (
    "read",
    "put",
    "move",
    "copy",
    "mkdir",
    "remove",
    "zip",
    "link",
    "storage",
    "mirror",
    "script",
    "runner",
    "served",
)


def inputs(random: Random) -> Iterator[bytes]:
    """A list of what is done, one after the other."""
    while True:
        steps = [(random.choice(VERBS), path(random), path(random)) for _ in range(random.randint(1, 6))]
        yield json.dumps(steps).encode()


def path(random: Random) -> str:
    """A path, good or bad."""
    if random.random() < 0.15:
        return text(random)
    parts = [
        random.choice(NAMES) if random.random() < 0.85 else random.choice(TEXTS)[:300]
        for _ in range(random.randint(1, 5))
    ]
    if random.random() < 0.1:
        parts[random.randrange(len(parts))] = random.choice(("\udcff", "\ud800", "a\0", "x" * 256, "\udce4" * 200))
    return ("/" if random.random() < 0.2 else "") + "/".join(parts)


def make(folder: Path) -> Callable[[bytes], None]:
    rooms = Rooms(folder)
    return rooms.take


class Rooms:
    """All roots in one folder, with canaries beside them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outside = folder / "outside"
        plant(self._outside)
        plant(folder)
        settings = Settings(
            data_path=folder / "data", runners_dir=folder / "runners", home_quota_bytes=10_000_000,
            server_side_scripting_bin_dirs=(str(folder / "bin"),),
        )  # fmt: skip
        for name in ("data", "bin", "runners"):
            (folder / name).mkdir()
        plant(folder / "data" / "homes" / "2")
        (folder / "bin" / "a.txt").write_text("#!/bin/sh\n")
        (folder / "bin" / "a.txt").chmod(0o755)
        (folder / "bin" / "loop").symlink_to("loop")
        (settings.mirror_folder / "folder").mkdir(parents=True)
        (settings.mirror_folder / "folder" / "a.txt").write_text("mirrored")
        (settings.mirror_folder / "link").symlink_to(self._outside / "canary.txt")
        (settings.mirror_folder / "away").symlink_to(self._outside)
        self._homes = Homes(settings)
        self._storage = Storage(settings)
        self._mirror = Mirror(settings.mirror_folder, "http://mirror.example", MirrorIndex(settings))
        self._scripts, self._runners = Catalogue(settings), Runners(settings)
        self._furnish()
        # One's own home, the storage and what is on its way in or out may change; all else may not.
        free = [folder / "data" / name for name in ("storage", "homes/1", "homes/.incoming", "homes/.removed")]
        self._watch = Watch(folder, free)

    def _furnish(self) -> None:
        """What a script may have left in a home."""
        with self._homes.open(1) as home:
            for name in ("a.txt", "deep/a.txt"):
                if "/" in name and not (self._home / "deep").exists():
                    home.make_folder("", "deep")
                with home.receive(name, 7) as upload:
                    upload.write(b"content")
            if not (self._home / "folder").exists():
                home.make_folder("", "folder")
        for name, target in {"link": "canary.txt", "away": ".", "up": "../.."}.items():
            (self._home / name).symlink_to(self._outside / target)
        (self._home / "loop").symlink_to("loop")
        os.mkfifo(self._home / "pipe")

    @property
    def _home(self) -> Path:
        return self._homes.folder(1)

    def take(self, data: bytes) -> None:
        for verb, first, second in json.loads(data):
            try:
                if verb in ("mirror", "served"):  # by addresses, which hold no halves of surrogates
                    first = first.encode("utf-8", "replace").decode()
                self._do(verb, first, second)
            except KnossosError as error:
                str(error).encode("utf-8")
        self._watch.check()
        if not os.path.lexists(self._home / "a.txt") or not os.path.lexists(self._home / "link"):
            self._anew()

    def _anew(self) -> None:
        self._homes.discard(1)
        self._furnish()

    def _do(self, verb: str, first: str, second: str) -> None:
        if verb == "storage":
            self._store(first)
        elif verb == "mirror":
            must_not_tell((self._mirror.root / self._mirror.locate(f"http://mirror.example/{first}")).read_bytes())
        elif verb == "served":
            must_not_tell(find_file(self._mirror.root, first).read_bytes())
        elif verb == "script":
            self._scripts.has(first)
            self._scripts.find(first)
        elif verb == "runner":
            self._runners.select(first)
            self._runners.find(first)
        else:
            with self._homes.open(1) as home:
                self._at_home(home, verb, first, second)

    def _store(self, key: str) -> None:
        try:
            self._storage.put_bytes(key, b"stored")
        except ValueError:
            return  # the storage's word for a key that is none: keys are made by the server
        must_not_tell(b"".join(self._storage.read(key)))
        self._storage.head(key)
        self._storage.delete(key)

    def _at_home(self, home: Home, verb: str, first: str, second: str) -> None:
        if verb == "read":
            self._read(home, first)
        elif verb == "put":
            with home.receive(first, 3, replace=len(second) % 2 == 0) as upload:
                upload.write(b"abc")
        elif verb == "mkdir":
            home.make_folder(first, second)
        elif verb == "remove":
            home.remove(first)
        elif verb == "zip":
            self._zip(home, first)
        elif verb == "link":
            home.copy("link", second)
        else:
            (home.move if verb == "move" else home.copy)(first, second)

    def _read(self, home: Home, path: str) -> None:
        found = home.open(path)
        try:
            if isinstance(found, OpenedFile):
                must_not_tell(b"".join(found.read(0, found.size)))
            else:
                list(found.entries())
        finally:
            found.close()

    def _zip(self, home: Home, path: str) -> None:
        found = home.open(path)
        try:
            if not isinstance(found, OpenedFile):
                must_not_tell(b"".join(zip_of(found.descriptor, [entry.own_name for entry in found.entries()])))
        finally:
            found.close()
