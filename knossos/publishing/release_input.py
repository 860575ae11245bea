"""What mod managers send as a full mod: read tolerantly, with every problem and its path.

Clients are sloppy where it does no harm: null for an empty list, keys of their own, upper-case sums, environments in
the old form. Owns these shapes and the rules of single fields; whether files and images are stored, and who may do
what, is looked up elsewhere. Pure: plain data in, models or problems out, nothing raised whatever the data are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from knossos.packaging.description import names
from knossos.packaging.description.consistency import repeated_names
from knossos.packaging.description.models import Action, Environment, InnerPath, Link, OptionalLink, Part, Title
from knossos.packaging.description.problems import join_path, message_of, path_of
from knossos.publishing.documents import FILES_ROUTE, IMAGES_ROUTE
from knossos.publishing.versions import dependency_version, release_version

#: Longest id and title, as the tables hold them, and longest free text, in characters.
MAX_ID_CHARS, MAX_TITLE_CHARS, MAX_TEXT_CHARS = 128, 300, 100_000
#: Largest file in bytes that is an exact number in every client.
MAX_FILE_BYTES = 2**53 - 1

BROKEN_TEXT = "invalid text"
UNSUPPORTED_CHECKSUM = "unsupported archive checksum"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGE_NAME = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]{1,5})?")
_IMAGE_URL = re.compile(rf"https?://[^/?#]+{re.escape(IMAGES_ROUTE)}/([0-9a-f]{{64}})\.[a-z0-9]{{1,5}}", re.IGNORECASE)
_FILE_URL = re.compile(rf"https?://[^/?#]+{re.escape(FILES_ROUTE)}/([0-9a-f]{{64}})/[^/?#]+", re.IGNORECASE)
_BROKEN = re.compile("[\\0\ud800-\udfff]")
_PROPERTY = re.compile(r"[A-Za-z0-9_]{1,32}")
#: What NET reads of an executable's properties.
_PROPERTIES = ("x64", "sse2", "avx", "avx2")


@dataclass(frozen=True)
class InputProblem:
    """``reason`` is the protocol's word for it; ``extra`` are the answer's further fields."""

    path: str
    message: str
    reason: str
    extra: dict[str, Any] = field(default_factory=dict)


def is_mod_id(text: Any) -> bool:
    """Whether a mod may be called that."""
    try:
        return isinstance(text, str) and mod_id(text) == text
    except ValueError:
        return False


def mod_id(text: str) -> str:
    """A mod's id, as far as it has no slashes, drives, spaces or dots where they do harm."""
    if len(text) > MAX_ID_CHARS:
        raise ValueError(f"expected an id of at most {MAX_ID_CHARS} characters")
    return names.mod_id(text)


def free_text(text: str) -> str:
    """A text for people."""
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"expected a text of at most {MAX_TEXT_CHARS} characters")
    return text


def title_text(text: str) -> str:
    if len(text) > MAX_TITLE_CHARS:
        raise ValueError(f"expected a title of at most {MAX_TITLE_CHARS} characters")
    return free_text(text)


def sha256_of_image(text: str) -> str:
    """The SHA-256 that an image is named by: bare, as our name for it, or in an address of this server."""
    text = text.strip()
    match = _IMAGE_NAME.fullmatch(text.lower()) or _IMAGE_URL.fullmatch(text)
    if not match:
        raise ValueError("expected the SHA-256 of an image that was uploaded, or this server's address of it")
    return match.group(1).lower()


def is_own_url(text: Any, sha256: str) -> bool:
    """Whether an address of a file is the one under which this server serves it."""
    match = _FILE_URL.fullmatch(text) if isinstance(text, str) else None
    return match is not None and match.group(1).lower() == sha256


def read_checksum(value: Any) -> str | None:
    """The SHA-256 in lower case; None where the value is not ``["sha256", <hex>]``."""
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, str) for part in value):
        return None
    kind, hexadecimal = value[0].strip().lower(), value[1].strip().lower()
    return hexadecimal if kind == "sha256" and _SHA256.fullmatch(hexadecimal) else None


def _checksum(value: Any) -> Any:
    sha256 = read_checksum(value)
    if sha256 is None:
        raise ValueError('expected ["sha256", <64 hexadecimal digits>]')
    return sha256


def sent_version(text: Any) -> str:
    """A release's version. Raises ``ValueError`` where it is none."""
    if not isinstance(text, str):
        raise ValueError("expected a text")
    if text != text.strip():
        raise ValueError("expected a version without spaces at its ends")
    return release_version(text)


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _day(value: Any) -> Any:
    """Some clients send a moment: its day counts."""
    return value[:10] if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]", value) else value


def _properties(value: Any) -> Any:
    if value is None:
        value = {}
    if not isinstance(value, dict) or not all(isinstance(one, bool | None) for one in value.values()):
        raise ValueError('expected an object of true and false, such as {"x64": true}')
    if len(value) > 50 or not all(isinstance(key, str) and _PROPERTY.fullmatch(key) for key in value):
        raise ValueError("expected at most 50 names of letters, digits and _")
    return dict.fromkeys(_PROPERTIES, False) | {key: bool(one) for key, one in value.items()}


def _calendar_day(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError('expected a day such as "2024-05-31"')


ModId = Annotated[str, AfterValidator(mod_id)]
ModTitle = Annotated[Title, AfterValidator(title_text)]
Text = Annotated[str, AfterValidator(free_text)]
Folder = Annotated[str, AfterValidator(names.file_name)]
Sha256 = Annotated[str, BeforeValidator(_checksum)]
Image = Annotated[str, AfterValidator(sha256_of_image)]
OptionalImage = Annotated[Image | None, BeforeValidator(_blank_is_none)]
OptionalDay = Annotated[
    Annotated[str, AfterValidator(_calendar_day)] | None, BeforeValidator(_day), BeforeValidator(_blank_is_none)
]
Type = Annotated[
    Literal["mod", "tc", "engine", "tool", "ext"],
    BeforeValidator(lambda value: "mod" if value == "addon" else value),
]


class _Sent(Part, BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class DependencyInput(_Sent):
    id: ModId
    version: Annotated[Annotated[str, AfterValidator(dependency_version)] | None, BeforeValidator(_blank_is_none)] = (
        None
    )
    packages: list[Title] = []


class ExecutableInput(_Sent):
    file: InnerPath
    label: Text | None = None
    properties: Annotated[dict[str, bool], BeforeValidator(_properties)] = Field(default=None, validate_default=True)


class FileInput(_Sent):
    filename: Annotated[str, AfterValidator(names.file_name)]
    dest: Annotated[str, AfterValidator(names.relative_folder)] = ""
    is_archive: bool = True
    checksum: Sha256
    #: None: not said.
    filesize: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)] | None = None
    urls: list[Link] = []


class InstalledFileInput(_Sent):
    filename: InnerPath
    archive: Annotated[str, AfterValidator(names.file_name)]
    #: None: the file is no archive, and is the installed file itself.
    orig_name: Annotated[InnerPath | None, BeforeValidator(_blank_is_none)] = None
    checksum: Sha256


class PackageInput(_Sent):
    name: Title
    notes: Text = ""
    status: Annotated[
        Literal["required", "recommended", "optional"],
        BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value),
    ] = "recommended"
    #: None: not said.
    folder: Folder | None = None
    is_vp: bool = False
    environment: Environment = ""
    dependencies: list[DependencyInput] = []
    executables: list[ExecutableInput] = []
    files: list[FileInput] = []
    filelist: list[InstalledFileInput] = []


class ReleaseInput(_Sent):
    """A full mod as sent; images by their SHA-256. None for title, type, parent, logo, tile and first_release: what is
    said of the mod itself."""

    id: ModId
    version: Annotated[str, AfterValidator(sent_version)]
    title: Annotated[ModTitle | None, BeforeValidator(_blank_is_none)] = None
    type: Type | None = None
    parent: ModId | None = None
    private: bool = False
    stability: Annotated[Literal["stable", "rc", "nightly"] | None, BeforeValidator(_blank_is_none)] = None
    #: The folder of the whole mod; clients name it themselves, so it is checked and not kept.
    folder: Annotated[Folder | None, BeforeValidator(_blank_is_none)] = None
    description: Text = ""
    notes: Text = ""
    cmdline: Text = ""
    logo: OptionalImage = None
    tile: OptionalImage = None
    banner: OptionalImage = None
    screenshots: list[Image] = []
    attachments: list[Image] = []
    videos: list[Link] = []
    release_thread: OptionalLink = None
    first_release: OptionalDay = None
    mod_flag: list[ModId] = []
    packages: list[PackageInput] = []
    #: What is to be done with the unpacked files; the archives are packed anew so that no client has to.
    actions: list[Action] = []


class ModInput(_Sent):
    """What ``mod/create`` and ``mod/update`` read."""

    id: ModId
    title: ModTitle
    type: Type = "mod"
    parent: ModId | None = None
    logo: OptionalImage = None
    tile: OptionalImage = None
    first_release: OptionalDay = None


Model = TypeVar("Model", bound=_Sent)


def read_release(data: Any) -> tuple[ReleaseInput | None, list[InputProblem]]:
    """The full mod, or every problem of its fields."""
    found, problems = _read(ReleaseInput, data)
    if problems and problems[0].reason == BROKEN_TEXT:
        return None, problems
    problems += [InputProblem(one["path"], one["message"], reason_of(one["path"])) for one in repeated_names("", data)]
    return (None if problems else found), problems


def read_actions(data: Any) -> list[Action]:
    """The actions of a full mod whose fields are in order."""
    return TypeAdapter(list[Action]).validate_python((data.get("actions") if isinstance(data, dict) else None) or [])


def read_mod(data: Any) -> tuple[ModInput | None, list[InputProblem]]:
    return _read(ModInput, data)


def reason_of(path: str) -> str:
    """The word for a problem at a path: that of the field, such as "invalid version"."""
    parts = [part for part in path.split(".") if not part.isdigit()]
    if not parts:
        return "invalid mod"
    if parts[-2:] == ["files", "checksum"]:
        return UNSUPPORTED_CHECKSUM
    inside = "dependency " if "dependencies" in parts[:-1] else ""
    return f"invalid {inside}{parts[-1].replace('_', ' ')}"


def _read(kind: type[Model], data: Any) -> tuple[Model | None, list[InputProblem]]:
    broken = [
        InputProblem(path, "expected text without NUL or halves of characters", BROKEN_TEXT)
        for path in _broken_texts(data)
    ]
    if broken:
        return None, broken
    try:
        return kind.model_validate(data), []
    except ValidationError as error:
        found = ((path_of(one["loc"]), message_of(one)) for one in error.errors())
        return None, [InputProblem(path, message, reason_of(path)) for path, message in found]


def _broken_texts(data: Any) -> Iterator[str]:
    """Paths of all texts, also in what is ignored, that a database or a client could not hold."""
    if all(not _BROKEN.search(text) for text in _texts(data)):
        return  # as always; a list of files is long, and its paths are not needed
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if _BROKEN.search(value):
                yield path
        elif isinstance(value, list):
            waiting += [(join_path(path, index), item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            for key, item in value.items():
                name = key[:200].encode("utf-8", "backslashreplace").decode("utf-8")
                if _BROKEN.search(key):
                    yield join_path(path, name)
                waiting.append((join_path(path, name), item))


def _texts(data: Any) -> Iterator[str]:
    """Every text and key, in no order."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value
            waiting += value.values()
