"""Renaming without replacing anything, which Linux can and Python does not offer."""

from __future__ import annotations

import ctypes
import errno
import os

_NOREPLACE = 1
_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(source: str, target: str, source_folder: int, target_folder: int) -> None:
    """Give a file or a folder another name, which must be free.

    Raises:
        FileExistsError: it is not.
        OSError
    """
    names = (source_folder, os.fsencode(source), target_folder, os.fsencode(target))
    if _libc.renameat2(*names, _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number), target)
    # A file system that cannot (some networks'); or a folder that is to go into itself, which the next one tells.
    try:
        os.stat(target, dir_fd=target_folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
