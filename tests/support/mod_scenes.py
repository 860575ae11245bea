"""Published mods as they look in life, with pictures painted here: for tests of the pages and for their pictures."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

from knossos.accounts import Accounts
from knossos.accounts.audit import Actor
from knossos.accounts.tokens import identity_of
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.publisher import Publisher
from tests.support.releases import publish, sha256_of

#: Id, title, versions with their days, type, stability, colours of the picture, and what it needs.
MODS: tuple[tuple[str, str, tuple[tuple[str, str], ...], str, str | None, tuple[str, str], tuple[str, ...]], ...] = (
    ("fso", "FreeSpace Open", (("24.2.0", "2026-02-11"),), "engine", "stable", ("#2c3e50", "#7f8c8d"), ()),
    ("fso-nightly", "FreeSpace Open Nightly", (("25.0.0-20261104", "2026-11-04"),), "engine", "nightly",
     ("#1d2b28", "#4fae8c"), ()),
    ("mvps", "MediaVPs", (("4.7.1", "2026-08-30"),), "mod", None, ("#3b2a4a", "#b07cc6"), ("fso",)),
    ("starlit-passage", "Starlit Passage",
     (("1.0.0", "2026-03-02"), ("1.1.0", "2026-06-14"), ("1.2.0", "2026-11-18")), "mod", None,
     ("#10233f", "#5fb3e0"), ("mvps", "fso")),
    ("copper-tide", "Copper Tide", (("3.1.0", "2026-10-28"),), "tc", None, ("#40210f", "#d98841"), ("fso",)),
    ("northern-gate", "Northern Gate", (("0.4.2", "2026-10-05"),), "mod", None, ("#0f3330", "#58c2a7"), ("mvps",)),
    ("quiet-orbit", "Quiet Orbit: The Long Watch over the Asteroid Belts", (("1.0.0", "2026-09-21"),), "mod", None,
     ("#33220f", "#cfa64a"), ("starlit-passage",)),
    ("table-editor", "Table Editor", (("0.9.0", "2026-07-09"),), "tool", None, ("#222222", "#8899aa"), ()),
)  # fmt: skip

DESCRIPTION = """[b]The passage between two suns was mapped a hundred years ago. Then the maps were lost.[/b]

You fly the last survey ship of the [i]Meridian[/i] through twelve missions, find the beacons again,
and find out who put them out.

[list][*]12 missions, about 6 hours
[*]Voice acting in English and German
[*]New ships, among them the survey cruiser [i]Ariadne[/i]
[/list]
Credits and a walkthrough: https://starlit.example.org/guide"""


def publish_mods(publisher: Publisher, folder: Path, owner: str = "dora") -> None:
    """Publish all of them; ``folder`` is for the pictures on their way into the storage."""
    account = Accounts(publisher.database).get(owner)
    for mod_id, title, versions, kind, stability, colours, needs in sorted(MODS, key=lambda mod: mod[2][-1][1]):
        tile = picture(publisher, folder, title, (150, 225), colours) if mod_id != "table-editor" else None
        for version, day in versions:
            data: dict[str, Any] = {
                "tile": tile,
                "title": title,
                "type": kind,
                "stability": stability,
                "parent": "FS2" if kind == "mod" else None,
                "first_release": versions[0][1],
                "last_update": day,
                "packages": packages(mod_id, version, needs),
            }
            if version == "1.2.0":
                data["packages"] += more_packages(mod_id, version)
            if mod_id == "starlit-passage":
                data |= rich_facts(publisher, folder, colours)
            publish(publisher, document_of(mod_id, version, data), account.user_id)
    by = Actor(account.name)
    reason = "The third mission cannot be won; 1.2.0 mends it."
    publisher.releases.yank(identity_of(account), "starlit-passage", "1.1.0", reason, by)


def rich_facts(publisher: Publisher, folder: Path, colours: tuple[str, str]) -> dict[str, Any]:
    return {
        "description": DESCRIPTION,
        "banner": picture(publisher, folder, "banner", (1070, 268), colours),
        "screenshots": [picture(publisher, folder, f"shot {number}", (640, 360), colours) for number in range(3)],
        "videos": ["https://video.example.org/watch/starlit-passage-trailer"],
        "release_thread": "https://forum.example.org/topic/4711",
    }


def document_of(mod_id: str, version: str, data: dict[str, Any]) -> ReleaseDocument:
    plain = {
        "id": mod_id,
        "version": version,
        "private": False,
        "description": "A short description of what this is.",
        "notes": "",
        "cmdline": "",
        "logo": None,
        "banner": None,
        "screenshots": [],
        "attachments": [],
        "videos": [],
        "release_thread": None,
        "mod_flag": [],
    }
    return ReleaseDocument.model_validate(plain | data)


def packages(mod_id: str, version: str, needs: tuple[str, ...]) -> list[dict[str, Any]]:
    """The package that every mod has."""
    wanted: list[dict[str, Any]] = [
        {"id": need, "version": ">=1.0.0" if need == "fso" else None, "packages": []} for need in needs
    ]
    paths = ["mod.ini", *(f"data/missions/{mod_id}-{number:02}.fs2" for number in range(1, 13))]
    return [package(mod_id, version, "Core", 412_300_000, paths, dependencies=wanted)]


def more_packages(mod_id: str, version: str) -> list[dict[str, Any]]:
    """Two more, one of them with 5,000 files."""
    voices = [f"data/voice/{actor}/line-{number:04}.ogg" for actor in ("ada", "ben") for number in range(2500)]
    maps = [f"data/maps/ship-{number:02}.dds" for number in range(40)]
    textures: dict[str, Any] = {
        "status": "optional",
        "notes": "Needs a graphics card with 4 GB.",
        "environment": "x86_64 && (windows || linux)",
        "dependencies": [{"id": "hull-textures", "version": "~2.1.0", "packages": ["Large"]}],
    }
    return [
        package(mod_id, version, "Voice acting", 131_000_000, voices, status="recommended", notes="English."),
        package(mod_id, version, "High resolution textures", 2_204_000_000, maps, **textures),
    ]


def package(
    mod_id: str, version: str, name: str, size: int, paths: list[str], status: str = "required", **more: Any
) -> dict[str, Any]:
    archive = f"{mod_id}-{name.lower().replace(' ', '-')}-{version}.7z"
    plain = {
        "name": name,
        "notes": "",
        "status": status,
        "folder": "",
        "is_vp": False,
        "environment": "",
        "dependencies": [],
        "executables": [],
        "files": [{"filename": archive, "dest": "", "checksum": ["sha256", sha256_of(archive)], "filesize": size}],
        "filelist": [
            {"filename": path, "archive": archive, "orig_name": path, "checksum": ["sha256", sha256_of(path)]}
            for path in paths
        ],
    }
    return plain | more


def picture(publisher: Publisher, folder: Path, name: str, size: tuple[int, int], colours: tuple[str, str]) -> str:
    """Paint a planet before stars, store it, and return the name under which documents know it."""
    path = folder / f"{sha256_of(name)}.png"
    paint(name, size, colours).save(path)
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    publisher.blobs.adopt(path, sha256=sha256, size=len(data), content_type="image/png", owner_id=None)
    return f"{sha256}.png"


def paint(name: str, size: tuple[int, int], colours: tuple[str, str]) -> Image.Image:
    chance = random.Random(name)
    width, height = size
    image = Image.new("RGB", size, colours[0])
    draw = ImageDraw.Draw(image)
    for _ in range(width * height // 400):
        x, y, light = chance.randrange(width), chance.randrange(height), chance.randrange(90, 230)
        draw.point((x, y), (light, light, light))
    radius = int(min(size) * chance.uniform(0.3, 0.48))
    x, y = int(width * chance.uniform(0.25, 0.75)), int(height * chance.uniform(0.4, 0.7))
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours[1])
    shade = Image.new("L", size, 0)
    ImageDraw.Draw(shade).ellipse((x - radius // 2, y - radius // 2, x + 2 * radius, y + 2 * radius), fill=200)
    return Image.composite(
        Image.new("RGB", size, colours[0]), image, shade.filter(ImageFilter.GaussianBlur(radius / 5))
    )
