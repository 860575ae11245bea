"""The models of a mod description: fields, defaults and the rules each field must keep.

Both forms of ``files``, old environment lists and ``addon`` are accepted and come out in today's form. null stands
for the default wherever a field has one that is not null (clients write null freely). Rules that look at several
mods or files at once are in ``consistency``; unknown keys are errors here, and ``request`` makes warnings of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from knossos.packaging.description import environment as env
from knossos.packaging.description import names, sums, versions
from knossos.packaging.description.links import web_link


def _title(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a text, but it is empty")
    return text.strip()


def _day(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError('expected a day such as "2024-05-31"')


def _named(path: str, check: Callable[[str], str]) -> str:
    try:
        return check(path)
    except ValueError as error:
        raise ValueError(f'"{path[:100]}": {error}') from error


def _is_none(value: Any) -> bool:
    return value is None


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


#: What a file name may have in a link as it is, besides letters, digits and ``_.-~``.
_PLAIN_IN_LINKS = "!$&'()*+,;=:@"

Link = Annotated[str, AfterValidator(web_link)]
OptionalLink = Annotated[Link | None, BeforeValidator(_blank_is_none)]
OptionalMd5 = Annotated[Annotated[str, AfterValidator(sums.md5_sum)] | None, BeforeValidator(_blank_is_none)]
OptionalDay = Annotated[Annotated[str, AfterValidator(_day)] | None, BeforeValidator(_blank_is_none)]
ModId = Annotated[str, AfterValidator(names.mod_id)]
Title = Annotated[str, AfterValidator(_title)]
FileName = Annotated[str, AfterValidator(names.file_name)]
Folder = Annotated[str, AfterValidator(names.relative_folder)]
InnerPath = Annotated[str, AfterValidator(names.relative_path)]
Spec = Annotated[Annotated[str, AfterValidator(versions.spec_text)] | None, BeforeValidator(_blank_is_none)]
KnownWord = Annotated[str, AfterValidator(env.known_word)]


class Part(BaseModel):
    """Base of everything in a description: strict types, no unknown keys, null for "the default"."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_means_the_default(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or cls._may_be_null(key)}

    @classmethod
    def _may_be_null(cls, key: str) -> bool:
        field = cls.model_fields.get(key)
        return field is None or field.is_required() or field.get_default(call_default_factory=True) is None


class FileOptions(Part):
    """What is said of a file besides its name and links. Size (bytes) and sums need not be: where they are, the file
    that comes has to be that one. In the result they are always there, so they stay out of what is written here."""

    is_archive: bool = True
    dest: Folder = ""
    filesize: Annotated[int, Field(ge=0)] | None = Field(default=None, exclude_if=_is_none)
    md5sum: OptionalMd5 = Field(default=None, exclude_if=_is_none)
    checksum: Annotated[list[str], AfterValidator(sums.checksum)] | None = Field(default=None, exclude_if=_is_none)

    @property
    def expected(self) -> sums.Expected:
        """What the file has to be."""
        return sums.Expected(self.filesize, self.md5sum, self.checksum[1] if self.checksum else None)


class ModFile(FileOptions):
    """One file of a package: an archive that is unpacked to ``dest``, or a file that is put there as it is."""

    filename: FileName
    urls: list[Link] = Field(min_length=1)


class EnvironmentCheck(Part):
    """One entry of an old environment list."""

    type: Literal["os", "cpu_feature"]
    value: KnownWord
    not_: bool = Field(default=False, alias="not")

    @field_validator("value")
    @classmethod
    def _of_its_type(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("type") == "os" and value not in env.SYSTEMS:
            raise ValueError(f'"{value}" is no operating system; expected windows, linux or macosx')
        return value


if TYPE_CHECKING:
    Files = list[ModFile]
    Environment = str
else:
    # A file object, or the older pair [[base link, ...], {file name: options}].
    _Pair = Annotated[
        tuple[Annotated[list[Link], Field(min_length=1)], dict[FileName, FileOptions]],
        Strict(False),
    ]
    _EitherFile = Annotated[
        Annotated[ModFile, Tag("<file>")] | Annotated[_Pair, Tag("<pair>")],
        Discriminator(lambda value: "<pair>" if isinstance(value, list | tuple) else "<file>"),
    ]

    def _in_one_form(files):
        found = []
        for item in files:
            if isinstance(item, ModFile):
                found.append(item)
                continue
            bases, options = item
            for name, chosen in options.items():
                urls = [f"{base.rstrip('/')}/{quote(name, safe=_PLAIN_IN_LINKS)}" for base in bases]
                found.append(ModFile(filename=name, urls=urls, **chosen.model_dump()))
        return found

    Files = Annotated[list[_EitherFile], AfterValidator(_in_one_form)]

    def _as_expression(value):
        if isinstance(value, str):
            return value
        return env.expression_of_checks((check.value, check.not_) for check in value)

    Environment = Annotated[
        Annotated[Annotated[str, AfterValidator(env.expression_text)], Tag("<expression>")]
        | Annotated[list[EnvironmentCheck], Tag("<checks>")],
        Discriminator(lambda value: "<checks>" if isinstance(value, list) else "<expression>"),
        AfterValidator(_as_expression),
    ]


class Dependency(Part):
    """Another mod that a package needs. ``version`` None: any."""

    id: ModId
    version: Spec = None
    packages: list[Title] = []


class Executable(Part):
    """A program of an engine or tool. ``properties`` names what it was built for, such as ``{"x64": true}``."""

    file: InnerPath
    version: str | None = None
    label: str | None = None
    properties: dict[str, bool] | None = None
    debug: bool = False


class Package(Part):
    name: Title
    notes: str = ""
    status: Annotated[
        Literal["required", "recommended", "optional"],
        BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value),
    ] = "recommended"
    dependencies: list[Dependency] = []
    environment: Environment = ""
    folder: Annotated[Folder | None, BeforeValidator(_blank_is_none)] = None
    is_vp: bool = False
    executables: list[Executable] = []
    files: Files = []


class Action(Part):
    """A change of the unpacked tree. ``glob`` applies to ``paths`` only; ``dest`` belongs to move and copy."""

    type: Literal["delete", "move", "copy", "mkdir"]
    glob: bool = True
    paths: Annotated[list[str], Field(min_length=1)]
    dest: str | None = Field(default=None, validate_default=True)

    @model_serializer(mode="wrap")
    def _dest_only_where_it_means_something(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialise(self)
        if self.dest is None:
            data.pop("dest", None)
        return data

    @field_validator("paths")
    @classmethod
    def _inside(cls, value: list[str], info: ValidationInfo) -> list[str]:
        # What is in an archive may have a name that no new file should be given.
        new = info.data.get("type") == "mkdir"
        return [_named(path, names.relative_path if new else names.pattern) for path in value]

    @field_validator("dest")
    @classmethod
    def _only_where_it_means_something(cls, value: str | None, info: ValidationInfo) -> str | None:
        needed = info.data.get("type") in ("move", "copy")
        if needed and value is None:
            raise ValueError("this is required for move and copy: a path inside the mod folder")
        if value is None or not needed:
            return None
        into_folder = value.rstrip() != "" and value.rstrip()[-1] in "/\\"
        path = names.relative_folder(value)
        return f"{path}/" if path and into_folder else path


class Mod(Part):
    id: ModId
    title: Title
    version: Annotated[str, AfterValidator(versions.version_text)]
    type: Annotated[
        Literal["mod", "tc", "engine", "tool", "ext"],
        BeforeValidator(lambda value: "mod" if value == "addon" else value),
    ] = "mod"
    folder: Folder = ""
    description: str = ""
    notes: str = ""
    cmdline: str = ""
    logo: OptionalLink = None
    tile: OptionalLink = None
    banner: OptionalLink = None
    release_thread: OptionalLink = None
    videos: list[Link] = []
    screenshots: list[Link] = []
    attachments: list[Link] = []
    first_release: OptionalDay = None
    last_update: OptionalDay = None
    parent: Annotated[ModId | None, BeforeValidator(_blank_is_none)] = None
    stability: Annotated[Literal["stable", "rc", "nightly"] | None, BeforeValidator(_blank_is_none)] = None
    mod_flag: list[ModId] = []
    owners: list[Any] = []
    private: bool = False
    custom_build: Any = None
    packages: list[Package] = []
    actions: list[Action] = []

    @model_validator(mode="after")
    def _folder_is_the_id_unless_given(self) -> Mod:
        if not self.folder:
            # The one field whose default depends on another; the model is frozen for everyone else.
            object.__setattr__(self, "folder", self.id)
        return self
