"""From the contents of a mod's archives to its installed files: the decisions, as functions of data.

Places what the archives hold into a tree, applies the actions, moves a ``mod.ini`` that lies too deep to the top, and
refuses paths that two archives claim. Fetches, reads and stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from knossos.errors import KnossosError
from knossos.packaging.actions import ActionImpossible, apply_actions
from knossos.packaging.archives.limits import NAME_CHARACTERS
from knossos.packaging.description import Action, Mod
from knossos.packaging.description.environment import never_together
from knossos.packaging.tree import MAX_NODES, Clash, Origin, Tree, clashes, join, too_big

#: Most clashes that are spelled out in a message.
SHOWN_CLASHES = 5


class FilesClash(KnossosError):
    """Several archives of a mod hold the same path. ``clashes`` lists ``{"path", "archives"}``."""

    code = "files_clash"


class Entry(Protocol):
    """A file inside an archive."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def md5(self) -> str: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Contents:
    """What a file of a package turned out to be. ``entries`` is None for a file that is no archive."""

    size: int
    md5: str
    sha256: str
    entries: Sequence[Entry] | None


@dataclass
class Assembly:
    """A mod as it will be installed."""

    #: For each package its files: path in the mod folder, and where it comes from.
    filelists: list[list[tuple[str, Origin]]]
    #: The actions of the description, and those that were added.
    actions: list[Action]
    #: The file to take the logo from, where the description names none.
    logo: Origin | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def installed(self) -> int:
        """How many files it installs."""
        return sum(map(len, self.filelists))


def assemble(mod: Mod, contents: Mapping[tuple[int, int], Contents], most: int = MAX_NODES) -> Assembly:
    """Work out the installed files of a mod.

    Args:
        contents: what was found in each file, by the index of its package and its index there.
        most: how many files and folders it may have.

    Raises:
        TreeTooBig: it has more of them, or their paths are far too long.
        ActionImpossible: an action cannot be done.
        FilesClash: several archives hold the same path, and no action resolves it.
    """
    tree = Tree(most)
    paths = _PathBudget(most)
    for origin in _origins(mod, contents, paths):
        tree.add(origin)
    warnings = apply_actions(tree, mod.actions)
    actions = list(mod.actions)
    added, told = _bring_mod_ini_up(tree)
    warnings += told
    if added is not None:
        actions.append(added)
    paths = _PathBudget(most)
    files = []
    for path, origin in tree.files():
        paths.take(len(path))
        files.append((path, origin))
    _refuse_clashes(mod, clashes(files, _may_meet(mod)))
    filelists: list[list[tuple[str, Origin]]] = [[] for _ in mod.packages]
    for path, origin in files:
        filelists[origin.package].append((path, origin))
    logo = None if mod.logo else _find_logo(files)
    return Assembly(filelists=filelists, actions=actions, logo=logo, warnings=warnings)


class _PathBudget:
    """Characters that all paths of a mod may have together, whatever a "dest" or an action puts in front of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most * NAME_CHARACTERS

    def take(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise too_big(self._most)


def _origins(mod: Mod, contents: Mapping[tuple[int, int], Contents], paths: _PathBudget) -> Iterator[Origin]:
    for number, package in enumerate(mod.packages):
        for index, file in enumerate(package.files):
            content = contents[number, index]
            if content.entries is None:
                placed = join(file.dest, file.filename)
                paths.take(len(placed))
                yield Origin(number, index, file.filename, None, placed, content.size, content.md5, content.sha256)
                continue
            for entry in content.entries:
                placed = join(file.dest, entry.name)
                paths.take(len(placed))
                yield Origin(
                    number, index, file.filename, entry.name, placed, entry.size, entry.md5, entry.sha256
                )  # fmt: skip


def _bring_mod_ini_up(tree: Tree) -> tuple[Action | None, list[str]]:
    """A client finds ``mod.ini`` only at the top. Where it lies deeper and no action moved it, its folder goes up."""
    found = [(path, origin) for path, origin in tree.files() if _name(path) == "mod.ini"]
    if not found or any("/" not in path for path, _ in found):
        return None, []
    depth = min(path.count("/") for path, _ in found)
    folders = {path.rpartition("/")[0] for path, origin in found if path.count("/") == depth}
    if any(path != origin.placed for path, origin in found if path.count("/") == depth):
        return None, []
    if len(folders) > 1:
        listed = " and ".join(sorted(folders))
        return None, [f"mod.ini lies in {listed} and not at the top; add an action that moves the right one up"]
    (folder,) = folders
    # Names in archives have no wildcards.
    action = Action(type="move", paths=[f"{folder}/*", f"{folder}/.*"], dest="", glob=True)
    try:
        apply_actions(trial := tree.copy(), [action])
    except ActionImpossible as error:
        return None, [f"mod.ini lies in {folder}, and what is in there cannot be moved to the top: {error}"]
    tree.root = trial.root
    return action, [f"mod.ini lies in {folder}; everything in there is moved to the top"]


def _find_logo(files: Sequence[tuple[str, Origin]]) -> Origin | None:
    """``logo.jpg`` at the top of the mod, or at the top of an archive."""
    for path, origin in files:
        if path.lower() == "logo.jpg":
            return origin
    return next((origin for _, origin in files if (origin.name or "").lower() == "logo.jpg"), None)


def _refuse_clashes(mod: Mod, found: Sequence[Clash]) -> None:
    if not found:
        return
    lines = [
        f"- {clash.path} in {_where(mod, clash.first)} and {clash.other_path} in {_where(mod, clash.second)}"
        for clash in found[:SHOWN_CLASHES]
    ]
    if len(found) > SHOWN_CLASHES:
        lines.append(f"- and {len(found) - SHOWN_CLASHES} more")
    if all((clash.first.package, clash.first.file) == (clash.second.package, clash.second.file) for clash in found):
        head = f"Actions of {mod.id} put files of one archive at the same path:"
        hint = "Change the action that puts them there, or delete what is not needed before it."
    else:
        head = f"Several archives of {mod.id} hold the same path:"
        hint = 'Unpack one of them elsewhere ("dest"), or add an action that deletes what is not needed.'
    raise FilesClash(
        "\n".join([head, *lines, hint]),
        clashes=[
            {"path": clash.path, "archives": [clash.first.archive, clash.second.archive]} for clash in found
        ],
    )  # fmt: skip


def _where(mod: Mod, origin: Origin) -> str:
    return f"{origin.archive} (package {mod.packages[origin.package].name})"


def _may_meet(mod: Mod) -> Callable[[int, int], bool]:
    @cache
    def may_meet(first: int, second: int) -> bool:
        if first == second:
            return True
        return not never_together(mod.packages[first].environment, mod.packages[second].environment)

    return may_meet


def _name(path: str) -> str:
    return path.rpartition("/")[2].lower()
