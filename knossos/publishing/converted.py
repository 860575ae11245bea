"""A converter's result as the full mod that a releaser would send. Pure: data in, data out.

Two things differ between what the converter takes and what may be published: versions may be partial there (``3.7``),
and files come with addresses where here the storage serves them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: The fields of a mod and of a package that mean the same in both.
_MOD_FIELDS = (
    *("id", "title", "type", "parent", "private", "stability", "description", "notes", "cmdline", "videos"),
    *("release_thread", "first_release", "mod_flag", "actions"),
)
_PACKAGE_FIELDS = ("name", "notes", "status", "folder", "is_vp", "environment", "executables")
_FILE_FIELDS = ("filename", "dest", "is_archive", "filesize", "checksum")
_INSTALLED_FIELDS = ("filename", "archive", "orig_name", "checksum")

_PARTIAL = re.compile(r"([0-9]+)(\.[0-9]+)?")
#: Operators that mean the same for a partial version and for one that is filled up with zeros.
_FILLED = re.compile(r"(>=|<)([0-9]+(?:\.[0-9]+)?)")
#: Any version with these two numbers: "==1.2" and "1.2" mean what "~1.2" does.
_TILDE = re.compile(r"(?:~|==)?([0-9]+\.[0-9]+)")


def full_mod_of(mod: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """The mod as it would be sent to be released.

    Args:
        mod: one of the result's ``mods``.
        images: SHA-256 of the stored images by their addresses. One without stays as it is, and is refused later.
    """
    return {
        **{name: mod.get(name) for name in _MOD_FIELDS},
        "version": full_version(str(mod.get("version"))),
        **{name: _image(mod.get(name), images) for name in ("logo", "tile", "banner")},
        **{
            name: [_image(link, images) for link in mod.get(name) or []] for name in ("screenshots", "attachments")
        },
        "packages": [_package(package) for package in mod["packages"]],
    }  # fmt: skip


def image_links(mod: Mapping[str, Any]) -> dict[str, str]:
    """The addresses of all images of a mod, by their paths in it."""
    found = {name: mod[name] for name in ("logo", "tile", "banner") if mod.get(name)}
    for name in ("screenshots", "attachments"):
        found |= {f"{name}.{index}": link for index, link in enumerate(mod.get(name) or [])}
    return found


def full_version(text: str) -> str:
    """A version with all of its three integers."""
    match = _PARTIAL.fullmatch(text)
    if not match:
        return text
    return f"{text}.0" if match.group(2) else f"{text}.0.0"


def full_spec(text: str | None) -> str | None:
    """A dependency's version with all three integers, where that means the same."""
    if text is None:
        return None
    compact = "".join(text.split())
    filled = _FILLED.fullmatch(compact)
    if filled:
        return filled.group(1) + full_version(filled.group(2))
    tilde = _TILDE.fullmatch(compact)
    if tilde:
        return f"~{tilde.group(1)}.0"
    return compact[2:] if compact.startswith("==") else text


def _package(package: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: package.get(name) for name in _PACKAGE_FIELDS},
        "dependencies": [
            {**dependency, "version": full_spec(dependency.get("version"))} for dependency in package["dependencies"]
        ],
        "files": [{name: file[name] for name in _FILE_FIELDS} for file in package["files"]],
        "filelist": [{name: entry[name] for name in _INSTALLED_FIELDS} for entry in package["filelist"]],
    }


def _image(link: str | None, images: Mapping[str, str]) -> str | None:
    return images.get(link, link) if link else None
