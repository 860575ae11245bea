"""The files of a request as work to be done: which there are, what they are called, which belong together.

Pure decisions. The volumes of a split archive (``a.7z.001``, ``a.7z.002``, ...) form one bundle: each is downloaded
and mirrored by itself, and they are read as one archive, which counts as the contents of the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from knossos.packaging.archives import volume_of
from knossos.packaging.description import ConversionRequest, Mod, ModFile, Package

#: Index of a mod in the request, of a package in it, and of a file in that.
Key = tuple[int, int, int]


@dataclass(frozen=True)
class Item:
    """One file of a package."""

    key: Key
    mod: Mod
    package: Package
    file: ModFile
    #: What people are shown: the file's name, with as much in front as it takes to tell it from others.
    label: str


@dataclass(frozen=True)
class Bundle:
    """Files that are read as one; mostly a single one."""

    items: tuple[Item, ...]

    @property
    def first(self) -> Item:
        return self.items[0]


def bundles_of(request: ConversionRequest) -> list[Bundle]:
    """All files of a request in their order, the volumes of an archive together."""
    places = [
        ((number, index, position), mod, package, file)
        for number, mod in enumerate(request.mods)
        for index, package in enumerate(mod.packages)
        for position, file in enumerate(package.files)
    ]
    by_name = Counter(file.filename for _, _, _, file in places)
    by_package = Counter((package.name, file.filename) for _, _, package, file in places)
    groups: dict[object, list[Item]] = {}
    for key, mod, package, file in places:
        label = file.filename
        if by_name[file.filename] > 1:
            label = f"{package.name}: {label}"
        if by_package[package.name, file.filename] > 1:
            label = f"{mod.id} {mod.version}, {label}"
        groups.setdefault(_group(key, file), []).append(Item(key, mod, package, file, label))
    return [Bundle(tuple(sorted(items, key=_volume_number))) for items in groups.values()]


def items_of(bundles: Sequence[Bundle]) -> list[Item]:
    """All files of the bundles, in the order of the request."""
    return sorted((item for bundle in bundles for item in bundle.items), key=lambda item: item.key)


def volume_name(stem: str, item: Item) -> str:
    """What a volume is called beside the others, whose names must fit together in case as well."""
    return f"{stem}.{item.file.filename.rpartition('.')[2]}"


def _group(key: Key, file: ModFile) -> object:
    volume = volume_of(file.filename) if file.is_archive else None
    return (key[0], key[1], file.dest, volume[0].lower()) if volume else key


def _volume_number(item: Item) -> int:
    volume = volume_of(item.file.filename)
    return volume[1] if volume else 0
