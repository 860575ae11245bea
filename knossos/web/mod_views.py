"""What the pages of mods say, in words: pure functions from stored releases to text and short lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from knossos.publishing.documents import FILES_ROUTE, DocumentFile, ReleaseDocument
from knossos.publishing.teams import TeamRole

TYPE_NAMES = {
    "mod": "Mod",
    "tc": "Total conversion",
    "engine": "Engine",
    "tool": "Tool",
    "ext": "Extension",
}
STABILITY_NAMES = {"stable": "Stable", "rc": "Release candidate", "nightly": "Nightly"}

#: What an operator before a version means to people; the version stands where the braces are.
_REQUIREMENTS = {
    ">=": "{} or newer",
    "<=": "{} or older",
    ">": "newer than {}",
    "<": "older than {}",
    "~": "{} or its newest patch",
}


#: What the roles of a team are called. An owner's is not said: they are why the team is named.
_ROLE_NAMES = {
    TeamRole.OWNER: "",
    TeamRole.MANAGER: "manager",
    TeamRole.UPLOADER: "uploader",
    TeamRole.TESTER: "tester",
}


@dataclass(frozen=True)
class Person:
    """Somebody in a team."""

    name: str
    role_name: str


@dataclass(frozen=True)
class Need:
    """A mod that a release needs. ``title`` "" where nobody may see such a mod here."""

    id: str
    version: str | None
    #: Packages of the other mod that are asked for; none: its usual ones.
    packages: tuple[str, ...]
    #: The packages of this release that ask for it, where the required ones do not.
    only_for: tuple[str, ...]
    title: str = ""


def type_name(kind: str) -> str:
    return TYPE_NAMES.get(kind, kind)


def stability_name(stability: str) -> str:
    return STABILITY_NAMES.get(stability, stability)


def initials(title: str) -> str:
    """One or two letters that stand where a picture is missing."""
    words = [word for word in title.split() if word[0].isalnum()]
    return "".join(word[0].upper() for word in words[:2]) or "?"


def requirement(version: str | None) -> str:
    """The version of a dependency in words."""
    if not version:
        return "any version"
    for operator, words in _REQUIREMENTS.items():
        if version.startswith(operator):
            return words.format(version.removeprefix(operator).strip())
    return f"exactly {version.removeprefix('==').strip()}"


def download_address(file: DocumentFile) -> str:
    """Where a browser has a file from: elsewhere, or from this server, whatever name the browser knows it by."""
    return file.urls[0] if file.urls else f"{FILES_ROUTE}/{file.checksum[1]}/{quote(file.filename, safe='')}"


def member(name: str, role: TeamRole) -> Person:
    return Person(name, _ROLE_NAMES[role])


def sum_line(sha256: str, path: str) -> str:
    """A line of a list that ``sha256sum -c`` reads; a backslash before it says that the path has escapes."""
    if "\\" in path or "\n" in path or "\r" in path:
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"\\{sha256}  {escaped}\n"
    return f"{sha256}  {path}\n"


def total_bytes(document: ReleaseDocument, *, only_required: bool = False) -> int:
    """What is to be downloaded for all packages, or for the required ones; the same file counts once."""
    files = {
        file.checksum[1]: file.filesize
        for package in document.packages
        if package.status == "required" or not only_required
        for file in package.files
    }
    return sum(files.values())


def needs(document: ReleaseDocument, titles: Mapping[str, str]) -> list[Need]:
    """What a release needs, each mod and version once, in the order of its packages."""
    found: dict[tuple[str, str | None, tuple[str, ...]], list[str] | None] = {}
    for package in document.packages:
        for dependency in package.dependencies:
            key = (dependency.id, dependency.version, tuple(dependency.packages))
            asking = found.setdefault(key, [])
            if package.status == "required":
                found[key] = None
            elif asking is not None:
                asking.append(package.name)
    return [
        Need(mod_id, version, packages, tuple(dict.fromkeys(asking or ())), titles.get(mod_id, ""))
        for (mod_id, version, packages), asking in found.items()
    ]
