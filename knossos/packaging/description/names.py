"""Names and paths that a description may hold: what is a good id, folder, file name or path below the mod folder.

Owns the rules only. They are stricter than Linux needs, since what is packaged here is installed on Windows and
macOS too: a name that cannot exist there, or that means something else there, is refused before anything is done
with it. Every function returns the cleaned text or raises ``ValueError`` that says what was expected.
"""

from __future__ import annotations

import re
import unicodedata

#: Longest id, and longest name of one file or folder, in bytes of UTF-8 (file systems take 255; the rest is left for
#: the mirror's numeric prefix).
MAX_NAME_BYTES = 200
#: Longest path in bytes of UTF-8.
MAX_PATH_BYTES = 1000

_ID = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._~+-]*")
_DRIVE = re.compile(r"[A-Za-z]:")
#: Names that Windows takes for devices, whatever their extension.
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
#: Characters that no file name on Windows can hold ("/" and "\\" are told apart first).
_FORBIDDEN = frozenset('<>:"|?*')


def mod_id(text: str) -> str:
    """A mod's id: part of paths and URLs, so only what needs no quoting in either."""
    if not _ID.fullmatch(text):
        raise ValueError(
            "expected an id of letters, digits and . _ ~ + - (no spaces, no slashes, not starting with . or -)"
        )
    return file_name(text)


def file_name(text: str) -> str:
    """The name of one file or folder, without any folder in front."""
    if "/" in text or "\\" in text:
        raise ValueError("expected a name without slashes")
    _check_component(text)
    return text


def relative_folder(text: str) -> str:
    """A folder below another one, "" for that one itself. Slashes at the ends are dropped."""
    return relative_path(text, allow_top=True)


def relative_path(text: str, *, allow_top: bool = False) -> str:
    """A path below the mod folder with ``/`` between its parts. Leading and trailing slashes are dropped."""
    parts = _split(text)
    if not parts and not allow_top:
        raise ValueError("expected a path inside the mod folder, not the folder itself")
    for part in parts:
        _check_component(part)
    return "/".join(parts)


def pattern(text: str) -> str:
    """The path of something that exists below the mod folder, whatever it is called; it may be a pattern."""
    parts = _split(text)
    if not parts:
        raise ValueError("expected a path inside the mod folder, not the folder itself")
    for part in parts:
        _check_controls(part)
        if part == "..":
            raise ValueError('expected a path inside the mod folder, without ".."')
    return "/".join(parts)


def _split(text: str) -> list[str]:
    """The parts of a path. "." and empty parts mean nothing and are dropped; a backslash is Windows' slash."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise ValueError(f"expected a path of at most {MAX_PATH_BYTES} bytes")
    if _DRIVE.match(text):
        raise ValueError('expected a path inside the mod folder, without a drive such as "C:"')
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]


def _check_component(part: str) -> None:
    if not part:
        raise ValueError("expected a name, but it is empty")
    if len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise ValueError(f"expected a name of at most {MAX_NAME_BYTES} bytes")
    _check_controls(part)
    if part in (".", ".."):
        raise ValueError('expected a name, without ".."')
    if _DRIVE.match(part):
        raise ValueError('expected a name, without a drive such as "C:"')
    bad = sorted(_FORBIDDEN.intersection(part))
    if bad:
        raise ValueError(f"expected a name without {' '.join(bad)} (Windows cannot store it)")
    if part != part.strip() or part.endswith("."):
        raise ValueError("expected a name without a space at its ends or a dot at its end (Windows cannot store it)")
    if _DEVICES.fullmatch(part.split(".", 1)[0].rstrip()):
        raise ValueError("expected another name: Windows takes this one for a device")


def _check_controls(text: str) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("expected a name without control characters")
