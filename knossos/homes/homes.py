"""Where the homes are, and opening one. A home is made when it is first used, and named by its account's number, which
no other account ever gets while it is there.

For root, whose scripts run as somebody who is nobody else, homes and all in them belong to that user; for any other
user, to that one, whom scripts then run as. Either way nobody else can look into them (mode 0700), and a script sees
no home but the one it runs in.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Collection
from pathlib import Path

from knossos.homes.errors import HomesMissing
from knossos.homes.home import Home, open_home
from knossos.homes.incoming import Incoming
from knossos.homes.trees import remove_tree
from knossos.settings import Settings

#: Folders beside the homes, whose names no number has.
INCOMING, REMOVED = ".incoming", ".removed"


class Homes:
    """Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = settings.homes_folder

    def folder(self, user_id: int) -> Path:
        """Where the home of an account is."""
        return self._root / str(user_id)

    def open(self, user_id: int) -> Home:
        """The home of an account.

        Raises:
            HomesMissing: it cannot be used.
        """
        try:
            self._root.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomesMissing(f"The folder of the homes cannot be used: {error.strerror}.", needed="homes") from error
        path = str(self.folder(user_id))
        incoming = Incoming(str(self._root / INCOMING / str(user_id)), path, self._settings.home_quota_bytes)
        return Home(open_home(str(self._root), str(user_id)), incoming, str(self._root / REMOVED))

    def used(self, user_id: int) -> int:
        """Bytes that the home of an account uses; counting ends once it is full. It is not made for that."""
        if not self.folder(user_id).is_dir():
            return 0
        with self.open(user_id) as home:
            return home.used()

    def discard(self, user_id: int) -> bool:
        """Take the home of an account away: nobody reaches it any more, and its files go with the clean-up, at the
        earliest TASK_LIFETIME from now. False where there is none.

        Raises:
            HomesMissing: it cannot be moved away.
        """
        try:
            (self._root / REMOVED).mkdir(0o700, exist_ok=True)
            os.rename(self.folder(user_id), self._root / REMOVED / f"{secrets.token_hex(8)}.0")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise HomesMissing(f"The home cannot be taken away: {error.strerror}.", needed="homes") from error
        return True

    def discard_strangers(self, known: Collection[int]) -> list[int]:
        """Take away the homes of numbers that no account has, as `discard` does, and answer which these are.

        A database that was put back to an earlier day gives the numbers of later accounts again.
        """
        strangers = [number for number in self._numbers() if number not in known]
        return [number for number in strangers if self.discard(number)]

    def _numbers(self) -> list[int]:
        try:
            return sorted(int(name) for name in os.listdir(self._root) if name.isascii() and name.isdigit())
        except FileNotFoundError:
            return []

    def tidy(self) -> int:
        """Remove what was being removed, or was on its way, when a server was killed."""
        count = 0
        with contextlib.suppress(OSError):
            removed = os.open(self._root / REMOVED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                limit = time.time() - self._settings.task_lifetime
                for name in os.listdir(removed):
                    with contextlib.suppress(OSError):
                        # The time of the move: a script can set all others.
                        if os.stat(name, dir_fd=removed, follow_symlinks=False).st_ctime < limit:
                            remove_tree(removed, name)
                            count += 1
            finally:
                os.close(removed)
        return count + sum(self._tidy_incoming())

    def _tidy_incoming(self) -> list[int]:
        found = []
        with contextlib.suppress(OSError):
            for folder in (self._root / INCOMING).iterdir():
                if folder.name.isdigit() and stat.S_ISDIR(folder.lstat().st_mode):
                    before = len(os.listdir(folder))
                    Incoming(str(folder), str(self.folder(int(folder.name))), 1).used()
                    found.append(before - len(os.listdir(folder)))
        return found
