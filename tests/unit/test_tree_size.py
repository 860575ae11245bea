"""Big trees: work grows with the files, not with their square (a quadratic one would run into the time-out)."""

from __future__ import annotations

import pytest

from knossos.packaging.actions import apply_actions
from knossos.packaging.description import Action
from knossos.packaging.tree import clashes
from tests.unit.test_tree import meets_always, tree_of

FILES = 50_000


@pytest.mark.slow
def test_fifty_thousand_files_are_moved_copied_and_listed() -> None:
    tree = tree_of(*(f"mod/file{number}.dat" for number in range(FILES)))
    actions = [
        Action(type="move", paths=["mod/*"], dest=""),
        Action(type="copy", paths=["*.dat"], dest="again"),
        Action(type="delete", paths=["again/file?.dat"]),
        Action(type="move", paths=["again"], dest="kept"),
    ]
    assert apply_actions(tree, actions) == []
    files = list(tree.files())
    assert len(files) == 2 * FILES - 10
    assert clashes(files, meets_always) == []
