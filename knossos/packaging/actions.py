"""What the actions of a description do to the tree: delete, move, copy, mkdir.

Owns their rules; the tree is changed in memory only. Moving onto a folder moves into it, where folders of the same name
become one; onto an existing file is an error. A folder that is not there yet is made where several things or a pattern
go to it; a single plain path gets the new name instead. A path that matches nothing is a warning, unless it was meant
literally (``glob`` false) and there is nothing to move or copy then.
"""

from __future__ import annotations

from collections.abc import Sequence

from knossos.errors import KnossosError
from knossos.packaging.description import Action
from knossos.packaging.tree import Node, Tree, copy_of, has_magic, join, walk

#: Longest path in bytes that an action may make.
MAX_PATH_BYTES = 2_000


class ActionImpossible(KnossosError):
    """An action cannot be done as it is written. ``action`` is its index in the mod."""

    code = "action_impossible"


def apply_actions(tree: Tree, actions: Sequence[Action]) -> list[str]:
    """Change the tree by the actions in their order; what comes back are warnings for the log.

    Raises:
        ActionImpossible: the first action that cannot be done; the tree is then of no use any more.
    """
    warnings: list[str] = []
    for index, action in enumerate(actions):
        try:
            warnings += [f"action {index + 1} ({action.type}): {text}" for text in _apply(tree, action)]
        except _Impossible as error:
            raise ActionImpossible(f"action {index + 1} ({action.type}): {error}", action=index) from error
    return warnings


class _Impossible(Exception):
    """Why the action that is being done cannot be."""


def _apply(tree: Tree, action: Action) -> list[str]:
    if action.type == "mkdir":
        for path in action.paths:
            _refuse_file_above(tree, path)
            tree.folder(path)
        return []
    sources, warnings = _matches(tree, action)
    if action.type == "delete":
        for path in sources:
            _detach(tree, path)
        return warnings
    dest = (action.dest or "").strip("/")
    node = tree.find(dest)
    # A pattern means "these, into that folder", however many it happens to match; one plain path may be renamed.
    several = len(sources) > 1 or (
        action.glob and any(has_magic(path) and path not in sources for path in action.paths)
    )
    into = not dest or (action.dest or "").endswith("/") or several or (node is not None and node.is_folder)
    _refuse_file_above(tree, dest if into else dest.rpartition("/")[0])
    # A few copies of everything would fill any memory.
    room = tree.most - sum(1 for _ in walk(tree.root)) if action.type == "copy" else 0
    for path in sources:
        target = join(dest, path.rpartition("/")[2]) if into else dest
        if action.type == "copy":
            room -= _copy(tree, path, target, room)
        else:
            _move(tree, path, target)
    return warnings


def _matches(tree: Tree, action: Action) -> tuple[list[str], list[str]]:
    """The paths that the action is about, each once, and warnings about those that match nothing."""
    dest = (action.dest or "").strip("/") if action.dest is not None else None
    sources: dict[str, None] = {}
    warnings: list[str] = []
    for pattern in action.paths:
        literally = [pattern] if not action.glob and tree.find(pattern) is not None else []
        found = tree.match(pattern) if action.glob else literally
        if has_magic(pattern) and action.glob and dest:
            # "everything into this folder" does not mean the folder itself
            found = [path for path in found if path != dest and not dest.startswith(f"{path}/")]
        if not found and not action.glob and action.type != "delete":
            raise _Impossible(f"there is no {pattern}")
        if not found:
            warnings.append(f"nothing matches {pattern}")
        sources.update(dict.fromkeys(found))
    return list(sources), warnings


def _move(tree: Tree, path: str, target: str) -> None:
    if target == path or tree.find(path) is None:  # in place already, or moved along with its folder
        return
    if target.startswith(f"{path}/"):
        raise _Impossible(f"{path} cannot be moved into itself ({target})")
    node = _detach(tree, path)
    if node is not None:
        _place(tree, node, target)


def _copy(tree: Tree, path: str, target: str, room: int) -> int:
    """Copy and say how many nodes that made; ``room`` is how many there may be at most."""
    node = tree.find(path)
    if node is None:
        return 0
    if target == path:
        raise _Impossible(f"{path} cannot be copied onto itself")
    needed = 1 + sum(1 for _ in walk(node))
    if needed > room:
        raise _Impossible(f"expected at most {tree.most:,} files and folders")
    _place(tree, copy_of(node), target)
    return needed


def _detach(tree: Tree, path: str) -> Node | None:
    folder, _, name = path.rpartition("/")
    parent = tree.find(folder)
    return parent.children.pop(name, None) if parent is not None else None


def _place(tree: Tree, node: Node, target: str) -> None:
    """Hang a node into the tree; folders of the same name become one."""
    _refuse_file_above(tree, target.rpartition("/")[0])
    folder, _, name = target.rpartition("/")
    waiting = [(tree.folder(folder), folder, name, node)]
    while waiting:
        parent, at, child, incoming = waiting.pop()
        present = parent.children.get(child)
        path = join(at, child)
        if present is None:
            _refuse_long_paths(path, incoming)
            parent.children[child] = incoming
            continue
        if present.files or incoming.files:
            kind = "file" if present.files else "folder"
            raise _Impossible(f"{path} is an existing {kind}")
        waiting += [(present, path, below, part) for below, part in incoming.children.items()]


def _refuse_file_above(tree: Tree, path: str) -> None:
    file = tree.file_above(path)
    if file is not None:
        raise _Impossible(f"{file} is an existing file, so nothing can be put into it")


def _refuse_long_paths(path: str, node: Node) -> None:
    longest = max((len(below.encode("utf-8", "surrogatepass")) for below, _ in walk(node)), default=0)
    if len(path.encode("utf-8", "surrogatepass")) + 1 + longest > MAX_PATH_BYTES:
        raise _Impossible(f"{path[:100]}... would be longer than {MAX_PATH_BYTES} bytes")
