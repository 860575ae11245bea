"""Builds of the engine, known by their names: which files make a build, for which computers, and what to start.

Pure decisions. A file is called like ``nightly_20241118_1a2b3c4-builds-Win64.zip``; executables like
``fs2_open_24_3_0_x64_AVX-FASTDBG.exe``. What a name does not say is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from knossos.packaging.description import Executable, ModFile, Package
from knossos.packaging.description.environment import never_together

_FILE = re.compile(
    r"(?:fs2_open|nightly)_(?:(?P<version>\d+_\d+_\d+)_)?(?P<day>\d{8})_(?P<hash>[0-9A-Za-z]{4,40})"
    r"-builds-(?P<platform>[A-Za-z0-9_.+-]+?)\.(?:zip|7z|tar\.gz)",
    re.IGNORECASE,
)
_VERSION = re.compile(r"fs2_open_(\d+)[._](\d+)[._](\d+)(?![0-9])", re.IGNORECASE)
#: A program of Linux has no suffix; what lies beside it (.pdb, .map, .so) has one of letters.
_PLAIN_PROGRAM = re.compile(r"(?:fs2_open|qtfred|fred2_open)[0-9._]*(?:[_-][A-Za-z0-9_]+)*", re.IGNORECASE)
_PROGRAM = re.compile(r"(?:fs2_open|qtfred|fred2_open)[^/]*\.(?:exe|appimage)", re.IGNORECASE)
_BUNDLE = re.compile(r"(?:.*/)?[^/]+\.app/Contents/MacOS/[^/]+", re.IGNORECASE)
_DEBUG = re.compile(r"(?:^|[^a-z])(?:fastdbg|fastdebug|debug|dbg)(?:[^a-z]|$)", re.IGNORECASE)

#: The beginning of a platform's name, the system it means, and what people call it.
_SYSTEMS = (("win", "windows", "Windows"), ("linux", "linux", "Linux"), ("mac", "macosx", "macOS"))


@dataclass(frozen=True)
class Platform:
    #: As the file's name has it: "Win64", "Linux", "MacOSX-arm64".
    word: str
    system: str
    environment: str
    label: str


@dataclass(frozen=True)
class BuildFile:
    name: str
    url: str
    platform: Platform


@dataclass(frozen=True)
class Build:
    day: date
    hash: str
    #: "24.3.0" where the files' names say it.
    version: str | None
    files: tuple[BuildFile, ...]

    @property
    def key(self) -> str:
        """What tells it from other builds: also the end of its version."""
        return f"{self.day:%Y%m%d}+{self.hash}"


def find_builds(files: Iterable[tuple[str, str]]) -> list[Build]:
    """The builds among files, given as pairs of a name and an address; the oldest comes first."""
    found: dict[tuple[date, str], dict[str, BuildFile]] = {}
    versions: dict[tuple[date, str], str] = {}
    for name, url in files:
        match = _FILE.fullmatch(name)
        platform = platform_of(match["platform"]) if match else None
        day = _day(match["day"]) if match else None
        if match is None or platform is None or day is None:
            continue
        key = (day, match["hash"].lower())
        found.setdefault(key, {}).setdefault(platform.word.lower(), BuildFile(name, url, platform))
        if match["version"]:
            versions[key] = match["version"].replace("_", ".")
    return [
        Build(day, revision, versions.get((day, revision)), tuple(found[day, revision].values()))
        for day, revision in sorted(found)
    ]


def build_key(name: str) -> str | None:
    """The key of the build that a folder's name (``20241118_1a2b3c4``) speaks of."""
    match = re.search(r"(?<![0-9])(\d{8})_([0-9A-Za-z]{4,40})", name)
    return f"{match[1]}+{match[2].lower()}" if match and _day(match[1]) else None


def platform_of(word: str) -> Platform | None:
    """What the end of a file's name says: "Win64", "Win32-SSE2", "Linux", "MacOSX-arm64"; None for none of these."""
    low = word.lower()
    system = next(((name, shown) for start, name, shown in _SYSTEMS if low.startswith(start)), None)
    if system is None:
        return None
    tokens = set(re.split(r"[-_.+]", low.replace("x86_64", "x64")))
    name, shown = system
    arm = bool(tokens & {"arm64", "aarch64"})
    is_32 = low.startswith("win32") or bool(tokens & {"x86", "i686"})
    conditions, said = [name], []
    if arm:
        conditions.append("arm64")
        said.append("ARM, 64 bit")
    elif is_32:
        said.append("32 bit")
    elif name != "macosx" or tokens & {"x64", "intel"}:
        conditions.append("x86_64")
        said.append("64 bit")
    for feature in ("avx2", "avx", "sse2"):
        if feature in tokens:
            conditions.append(feature)
            said.append(feature.upper())
            break
    label = f"{shown} ({', '.join(said)})" if said else shown
    return Platform(word, name, " && ".join(conditions), label)


def packages_of(build: Build) -> list[Package]:
    """A package for each file. Builds that one computer may both get lie in folders of their own."""
    return [
        Package(
            name=file.platform.label,
            status="required",
            environment=file.platform.environment,
            files=[ModFile(filename=file.name, dest=_folder(file, build.files), urls=[file.url])],
        )
        for file in build.files
    ]


def executables_of(paths: Iterable[str], platform: Platform) -> list[Executable]:
    """The programs among a package's installed files; the game comes first, builds for finding faults last."""
    found = [_executable(path, platform) for path in paths if _is_program(path, platform)]
    return sorted(found, key=lambda one: (one.label or "", one.file))


def version_of(paths: Iterable[str]) -> str | None:
    """The engine's version as its programs' names say it: "24.3.0"."""
    for path in paths:
        if match := _VERSION.match(_name(path)):
            return ".".join(str(int(part)) for part in match.groups())
    return None


def _executable(path: str, platform: Platform) -> Executable:
    return Executable(
        file=path, label=_label(path), properties=_properties(path, platform), debug=bool(_DEBUG.search(_name(path)))
    )


def _is_program(path: str, platform: Platform) -> bool:
    name = _name(path)
    if _PROGRAM.fullmatch(name):
        return name.lower().endswith(".exe") == (platform.system == "windows")
    if platform.system == "macosx":
        return bool(_BUNDLE.fullmatch(path))
    return platform.system == "linux" and bool(_PLAIN_PROGRAM.fullmatch(name))


def _label(path: str) -> str | None:
    low, debug = _name(path).lower(), bool(_DEBUG.search(_name(path)))
    if "qtfred" in low:
        return "QtFRED Debug" if debug else "QtFRED"
    if "fred2" in low:
        return "FRED2 Debug" if debug else "FRED2"
    return "Fast Debug" if debug else None


def _properties(path: str, platform: Platform) -> dict[str, bool]:
    tokens = set(re.split(r"[^a-z0-9]+", _name(path).lower())) | set(re.split(r"[^a-z0-9]+", platform.word.lower()))
    wide = bool(tokens & {"x64", "64"}) or "x86_64" in platform.environment
    properties = {"x64": wide and "arm64" not in platform.environment}
    properties |= {feature: feature in tokens for feature in ("sse2", "avx", "avx2")}
    return properties | ({"arm64": True} if "arm64" in platform.environment else {})


def _folder(file: BuildFile, all_files: Sequence[BuildFile]) -> str:
    others = [other for other in all_files if other is not file]
    mine = file.platform.environment
    return file.platform.word if any(not never_together(mine, one.platform.environment) for one in others) else ""


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
