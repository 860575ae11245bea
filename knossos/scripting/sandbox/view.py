"""What a script sees of the machine, as options for bubblewrap. Decides only; nothing is opened or run here.

The system's programs and libraries (/usr), a handful of files of /etc that say nothing of this machine, a fresh /proc
and /dev, what it is given to read at the paths where it really is, and its own three folders. Nothing else exists:
not "is forbidden", but is not there. The root, /dev and all that is not the run's own cannot be written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from knossos.scripting.sandbox.errors import SandboxFailed
from knossos.scripting.sandbox.spec import (
    CHANNEL,
    INSIDE,
    INSIDE_FOLDER,
    INSIDE_SHARED,
    INSIDE_TEMPORARY,
    SandboxSpec,
)

#: The user that a script is inside, whoever it is outside.
UID = GID = 1000
#: What made-up files say.
PASSWD = f"script:x:{UID}:{GID}:script:{INSIDE_FOLDER}:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
GROUP = f"script:x:{GID}:\nnogroup:x:65534:\n"
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"

#: Links to /usr on most systems, folders on some.
_SYSTEM_FOLDERS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
#: What programs look for in /etc. None of it holds a secret: /etc/ssl/private, for one, is not among them. Each costs
#: a tenth of a millisecond or two.
_ETC = ("alternatives", "fonts", "ld.so.cache", "localtime", "pki/ca-trust/extracted", "pki/tls/certs", "ssl/certs")
#: With the machine's network also what names and certificates need.
_ETC_NETWORK = (
    "ca-certificates",
    "gai.conf",
    "host.conf",
    "hosts",
    "nsswitch.conf",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/openssl.cnf",
)
#: What a readable path must neither be nor lie above, since it would hide what the sandbox puts there; and what it
#: must not lie below.
_OURS = (INSIDE, "/proc", "/dev")
_ABOVE = (*_OURS, INSIDE_TEMPORARY, "/etc/passwd", "/etc/group")


@dataclass(frozen=True)
class Bind:
    """A file or folder of the host, ``source``, that a script sees at ``target``."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Features:
    """What this bubblewrap can beyond the oldest that will do."""

    disable_userns: bool
    size: bool


@dataclass(frozen=True)
class Data:
    """Descriptors, as bubblewrap has them, of files that are made up."""

    passwd: int
    group: int
    hosts: int
    #: Read and closed when all else is in place.
    last: int


def binds(spec: SandboxSpec) -> list[Bind]:
    """What of the host is put into the sandbox, besides the system; what lies above something else comes first.

    Raises:
        SandboxFailed: something to read would hide a part of the sandbox.
    """
    own = [
        Bind(spec.folder, INSIDE_FOLDER, writable=True),
        Bind(spec.shared, f"{INSIDE_SHARED}/{spec.shared.name}", writable=True),
        Bind(spec.temporary, INSIDE_TEMPORARY, writable=True),
    ]
    readable: dict[str, Bind] = {}
    for path in spec.readable:
        real = path.resolve()
        for name in {os.path.abspath(path), str(real)}:
            if any(_covers(name, one) for one in _ABOVE) or any(_covers(one, name) for one in _OURS):
                raise SandboxFailed(f"Scripts cannot be given {name} to read: the sandbox has its own.", path=name)
            readable[name] = Bind(real, name)
    folders = [name for name in readable if not _in_the_system(name)]
    shown = [readable[name] for name in sorted(folders, key=lambda name: name.count("/"))]
    return own + shown + list(_program(spec.program, folders))


def options(
    spec: SandboxSpec, bound: Iterable[Bind], place: Callable[[Path], str], data: Data, features: Features
) -> list[str]:
    """All options for ``--args``.

    Args:
        place: where bubblewrap finds a source (`spawn.py` may have put it elsewhere).
    """
    result = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup"]
    if not spec.network:
        result.append("--unshare-net")
    if features.disable_userns:
        result.append("--disable-userns")
    result += ["--uid", str(UID), "--gid", str(GID), "--cap-drop", "ALL", "--new-session", "--die-with-parent"]
    result += _system()
    result += _etc(spec, data)
    result += ["--proc", "/proc", "--dev", "/dev"]
    if features.size:
        # Memory like any other; half, since what is in it and mapped is counted twice.
        size = str(max(spec.limits.memory_bytes // 2, 4096))
        result += ["--perms", "1777", "--size", size, "--tmpfs", "/dev/shm"]  # noqa: S108
    result += ["--remount-ro", "/dev", "--dir", "/var", "--symlink", "../tmp", "/var/tmp", "--dir", "/run"]  # noqa: S108
    for bind in bound:
        result += ["--bind" if bind.writable else "--ro-bind", place(bind.source), bind.target]
    result += [
        "--perms",
        "0444",
        "--file",
        str(data.last),
        f"{INSIDE}/.ready",
        "--remount-ro",
        "/",
        "--chdir",
        INSIDE_FOLDER,
    ]
    result.append("--clearenv")
    for name, value in {**spec.environment, "KNOSSOS_FD": str(CHANNEL)}.items():
        result += ["--setenv", name, value]
    return result


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM_FOLDERS:
        path = f"/{name}"
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)


def _etc(spec: SandboxSpec, data: Data) -> Iterator[str]:
    yield from ("--perms", "0755", "--dir", "/etc")
    for name in (*_ETC, *(_ETC_NETWORK if spec.network else ())):
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    made_up = {"passwd": data.passwd, "group": data.group}
    if not spec.network:
        made_up["hosts"] = data.hosts
    for name, descriptor in made_up.items():
        yield from ("--perms", "0444", "--file", str(descriptor), f"/etc/{name}")


def _program(program: Path, shown: Iterable[str]) -> Iterator[Bind]:
    """The program where it is called, and where its symlink leads, as far as neither is shown anyhow."""
    roots = list(shown)
    path = os.path.abspath(program)
    real = program.resolve()
    for _ in range(40):  # as many links as the kernel follows
        if not _in_the_system(path) and not any(_covers(root, path) for root in roots):
            yield Bind(real, path)
            return
        if not os.path.islink(path):
            return
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))


def is_shown(path: str, bound: Iterable[Bind]) -> bool:
    """Whether a script finds what lies at a path of the host, wherever links on the way lead."""
    # Not the run's own folders: what lies in those inside is not what lies at their paths outside.
    shown = [bind.target for bind in bound if os.path.realpath(bind.target) == str(bind.source)]
    shown += [f"/etc/{name}" for name in _ETC]

    def is_there(one: str) -> bool:
        return _in_the_system(one) or any(_covers(root, one) for root in shown)

    seen = os.path.abspath(path)
    for _ in range(40):  # as many links as the kernel follows
        if not is_there(seen):
            return False
        if not os.path.islink(seen):
            return is_there(os.path.realpath(seen))
        seen = os.path.normpath(os.path.join(os.path.dirname(seen), os.readlink(seen)))
    return False


def _covers(folder: str, path: str) -> bool:
    return folder == "/" or path == folder or path.startswith(folder + "/")


def _in_the_system(path: str) -> bool:
    return any(_covers(f"/{name}", path) for name in ("usr", *_SYSTEM_FOLDERS))
