"""The files of a mod as they will lie in its folder: a tree in memory, built from what the archives hold.

Owns placing, finding and listing; nothing is ever unpacked or touched on disk. Two archives may put a file at the same
path, and one a file where another has a folder: the tree holds both, so that an action can still resolve it, and
``clashes`` names what is left of that in the end. All walks are loops, since a path may be deeper than Python's stack,
and take time in proportion to what they visit.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from knossos.errors import KnossosError
from knossos.packaging.archives.limits import NAME_CHARACTERS

#: Most files and folders of one mod, and of all mods of one task together, unless the caller says otherwise.
MAX_NODES = 200_000
#: Most clashes that are looked for; more help nobody.
MAX_CLASHES = 50

_MAGIC = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file comes from, and what is in it."""

    #: Index of the package in its mod, and of the entry in the package's ``files``.
    package: int
    file: int
    #: File name of that entry, for messages.
    archive: str
    #: Path inside the archive; None for a file that is no archive.
    name: str | None
    #: Path in the mod folder before any action.
    placed: str
    size: int
    md5: str
    sha256: str


class Node:
    """A file, a folder, or what is (still) both."""

    __slots__ = ("children", "files", "is_folder")

    def __init__(self, *, is_folder: bool = False) -> None:
        self.children: dict[str, Node] = {}
        self.files: tuple[Origin, ...] = ()
        #: True also for an empty folder: what is moved out of a folder leaves it behind.
        self.is_folder = is_folder


@dataclass(frozen=True)
class Clash:
    """Two files that would be one on a player's disk."""

    path: str
    first: Origin
    other_path: str
    second: Origin


class TreeTooBig(KnossosError):
    """A mod would have more files and folders, or longer paths, than is allowed."""

    code = "too_many_files"


class Tree:
    """The tree of one mod. ``most`` is how many files and folders it may have."""

    def __init__(self, most: int = MAX_NODES) -> None:
        self.root = Node(is_folder=True)
        self.most = most
        self._made = 0

    def add(self, origin: Origin) -> None:
        """Put a file at the path it is unpacked to."""
        folder, _, name = origin.placed.rpartition("/")
        self._child(self.folder(folder), name).files += (origin,)

    def folder(self, path: str) -> Node:
        """The folder at the path, made where it is missing ("" is the mod folder)."""
        node = self.root
        for part in _parts(path):
            node = self._child(node, part)
            node.is_folder = True
        return node

    def _child(self, node: Node, name: str) -> Node:
        below = node.children.get(name)
        if below is None:
            self._made += 1
            if self._made > self.most:
                raise too_big(self.most)
            below = node.children[name] = Node()
        return below

    def find(self, path: str) -> Node | None:
        node = self.root
        for part in _parts(path):
            below = node.children.get(part)
            if below is None:
                return None
            node = below
        return node

    def file_above(self, path: str) -> str | None:
        """The first part of the path that is a file and no folder, if there is one."""
        node, at = self.root, ""
        for part in _parts(path):
            below = node.children.get(part)
            if below is None:
                return None
            node, at = below, join(at, part)
            if node.files and not node.is_folder:
                return at
        return None

    def match(self, pattern: str) -> list[str]:
        """The paths that a pattern names, in order.

        ``*`` and ``?`` do not match a leading dot and do not cross ``/``; nothing else is special.
        """
        found = [("", self.root)]
        for part in _parts(pattern):
            matches = _matcher(part)
            found = [
                (join(path, name), node.children[name])
                for path, node in found
                for name in (sorted(node.children) if matches is not None else [part] if part in node.children else [])
                if matches is None or matches(name)
            ]
        return [path for path, _ in found]

    def files(self) -> Iterator[tuple[str, Origin]]:
        """Every file with its path, sorted by path."""
        for path, node in walk(self.root):
            for origin in node.files:
                yield path, origin

    def copy(self) -> Tree:
        tree = Tree(self.most)
        tree.root = copy_of(self.root)
        return tree


def too_big(most: int) -> TreeTooBig:
    return TreeTooBig(
        f"expected at most {most:,} files and folders, and {most * NAME_CHARACTERS:,} characters in their paths"
    )


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def has_magic(pattern: str) -> bool:
    return _MAGIC.search(pattern) is not None


def walk(root: Node) -> Iterator[tuple[str, Node]]:
    """Every node below a folder with its path, sorted."""
    waiting = [("", root)]
    while waiting:
        path, node = waiting.pop()
        if node is not root:
            yield path, node
        if node.children:
            waiting += [(join(path, name), node.children[name]) for name in sorted(node.children, reverse=True)]


def copy_of(root: Node) -> Node:
    top = Node()
    waiting = [(root, top)]
    while waiting:
        source, target = waiting.pop()
        target.is_folder = source.is_folder
        target.files = source.files
        for name, child in source.children.items():
            target.children[name] = Node()
            waiting.append((child, target.children[name]))
    return top


def clashes(files: Iterable[tuple[str, Origin]], may_meet: Callable[[int, int], bool]) -> list[Clash]:
    """The pairs of files that would be one on a player's disk: same path, or a file where another needs a folder.

    Paths that differ only in case are the same, as on Windows and macOS.

    Args:
        may_meet: whether two packages, by their index, can be installed in one folder.
    """
    listed = files if isinstance(files, list) else list(files)
    # Lists only for the few that share a path: there may be very many files.
    by_key: dict[str, tuple[str, Origin]] = {}
    shared: dict[str, list[tuple[str, Origin]]] = {}
    for item in listed:
        key = _folded(item[0])
        if by_key.setdefault(key, item) is not item:
            shared.setdefault(key, [by_key[key]]).append(item)
    same_path = (
        (first, second) for same in shared.values() for index, second in enumerate(same) for first in same[:index]
    )
    below_a_file = (
        (file, item)
        for item in listed
        for above in _folders_above(_folded(item[0]))
        if above in by_key
        for file in shared.get(above, [by_key[above]])
    )
    found = (
        Clash(*first, *second)
        for first, second in chain(same_path, below_a_file)
        if may_meet(first[1].package, second[1].package)
    )
    return list(islice(found, MAX_CLASHES))


def _folded(path: str) -> str:
    folded = path.casefold()
    return path if folded == path else folded


def _folders_above(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _parts(path: str) -> list[str]:
    return path.split("/") if path else []


def _matcher(pattern: str) -> Callable[[str], object] | None:
    """A test for names, or None for a pattern without wildcards."""
    if not has_magic(pattern):
        return None
    # Its expressions take no time that grows with the number of stars; "[" is what it alone would take for special.
    matches = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    if pattern.startswith("."):
        return matches
    return lambda name: not name.startswith(".") and matches(name)
