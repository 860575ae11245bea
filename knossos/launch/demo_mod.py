"""A small mod for the demonstration, made up on the spot: its archives and its description."""

from __future__ import annotations

import random
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from knossos.packaging.archives.sevenzip import SevenZip
from knossos.setting_kinds import MIB

#: Side of a texture in pixels; each takes 4 bytes.
TEXTURE_SIDE = 512
TEXTURES = 16


def write_archives(folder: Path, sevenzip: SevenZip) -> list[Path]:
    """Write the mod's two archives, a 7z and a zip, into a folder."""
    tree = folder / "tree"
    dice = random.Random(2)
    for number in range(TEXTURES):
        _write(tree / "data" / "maps" / f"hull-{number:02}.tga", _texture(dice))
    for name in ("ships", "weapons", "stars"):
        lines = (f"$Name: {name} {number}\n+Mass: {dice.random():.3f}\n" for number in range(2000))
        _write(tree / "data" / "tables" / f"demo-{name}.tbm", "".join(lines).encode())
    _write(tree / "mod.ini", b"[launcher]\nmodname = Demonstration;\ninfotext = Made by launch.sh;\n")
    core = folder / "demo-core.7z"
    command = [str(sevenzip.program), "a", "-bso0", "-bsp0", "-mx=1", "--", str(core), "."]
    subprocess.run(command, cwd=tree, check=True, stdin=subprocess.DEVNULL, timeout=300)
    missions = folder / "demo-missions.zip"
    with zipfile.ZipFile(missions, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1, 6):
            text = f"#Mission Info\n$Version: 0.10\n$Name: Demonstration {number}\n" + "; briefing\n" * 500
            archive.writestr(f"data/missions/demo-{number}.fs2", text)
    return [core, missions]


def describe(archives: list[Path], address: str) -> dict[str, Any]:
    """The mod's description, as a site would send it."""
    core, missions = (
        {"filename": path.name, "is_archive": True, "urls": [f"{address}{path.name}"]} for path in archives
    )
    return {
        "id": "demo",
        "title": "Demonstration",
        "version": "1.0.0",
        "type": "mod",
        "description": "A small mod that launch.sh made to show how one is packaged.",
        "packages": [
            {"name": "Core", "status": "required", "files": [core]},
            {"name": "Missions", "status": "recommended", "files": [missions]},
        ],
    }


def _texture(dice: random.Random) -> bytes:
    """An uncompressed Targa picture of noise with a smooth half, so that it packs about as well as real ones."""
    size = TEXTURE_SIDE * TEXTURE_SIDE * 4
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, TEXTURE_SIDE, TEXTURE_SIDE, 32, 8)
    return header + dice.randbytes(min(size // 2, MIB)) + bytes(size // 2)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
