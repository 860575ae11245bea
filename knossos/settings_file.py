"""Reading the settings: a file in Python, the environment, and the embedded Redis that launch.sh leaves word of.

A settings file has one upper-case assignment for each setting (``conf/settings.py.dist`` lists all). Nothing else of
the project reads ``os.environ``: ``KNOSSOS_SETTINGS`` names the file, ``KNOSSOS_DATA`` the folder for all data;
``REDIS``, ``WORKERS`` and ``LOG_FORMAT`` win over the file's settings of that name, and ``KNOSSOS_ADMIN_PASSWORD``
over ADMIN_PASSWORD. What settings there are is `settings.py`.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from knossos.errors import SettingsError
from knossos.settings import ROOT, Settings

#: Environment variables that win over the settings file, and the settings they set.
VARIABLES = {
    "KNOSSOS_DATA": "data_path",
    "REDIS": "redis",
    "WORKERS": "workers",
    "LOG_FORMAT": "log_format",
    "KNOSSOS_ADMIN_PASSWORD": "admin_password",
}

#: Settings whose values no message may show.
SECRETS = {
    *("API_KEYS", "CALCULATION_API_KEYS", "SECRET_KEY", "ADMIN_PASSWORD", "METRICS_TOKEN"),
    *("REDIS", "DATABASE", "STORAGE_OPTIONS", "SMTP"),
}
#: Settings that are paths of folders, which relative ones are below the project's.
FOLDERS = (
    *("data_path", "mirror_path", "work_path", "server_side_scripting_home_dir", "runners_dir"),
    *("calculation_folder", "homes_path"),
)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Build the Settings from the settings file and the environment.

    The file is ``KNOSSOS_SETTINGS``, else ``conf/settings.py`` where that exists, else all defaults hold.
    Relative paths in it are relative to the project's folder.

    Raises:
        SettingsError: the file is missing or broken, a name is unknown, or a value is wrong. The message
            names the setting and what was expected.
    """
    env = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    named = env.get("KNOSSOS_SETTINGS", "")
    path = Path(named) if named else ROOT / "conf" / "settings.py"
    if os.path.isfile(path):  # False, where Path.is_file() raises, for a folder that this user may not look into
        values = _read_file(path)
    elif named:
        raise SettingsError(f"KNOSSOS_SETTINGS: {path} is not a file", setting="KNOSSOS_SETTINGS")
    for variable, name in VARIABLES.items():
        if env.get(variable):
            values[name] = env[variable]
    for name in FOLDERS:
        if values.get(name):
            values[name] = _absolute(name, values[name])
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _explain(error) from error
    return settings if "redis" in values else _with_embedded_redis(settings)


def _absolute(name: str, value: Any) -> Path:
    try:
        return (ROOT / Path(value).expanduser()).resolve()
    except (TypeError, ValueError, OSError, RuntimeError) as error:  # RuntimeError: a user's home that is not known
        expected = Settings.model_fields[name].description
        raise SettingsError(f"{name.upper()}: expected {expected} (it is {value!r})", setting=name.upper()) from error


def _with_embedded_redis(settings: Settings) -> Settings:
    file = settings.embedded_redis_file
    try:
        return settings.model_copy(update={"redis": file.read_text("utf-8").strip()})
    except (FileNotFoundError, NotADirectoryError):
        return settings
    except OSError as error:
        raise SettingsError(
            f"DATA_PATH: {file} cannot be read: {error.strerror}; run this as the user that runs launch.sh",
            setting="DATA_PATH",
        ) from error


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a process that this one starts: this one's own with some variables changed."""
    return {**os.environ, **changes}


def _read_file(path: Path) -> dict[str, Any]:
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(
            f"{path}: {reason}; expected a Python file with one NAME = value a line",
            setting="KNOSSOS_SETTINGS",
        ) from error
    return {name.lower(): value for name, value in names.items() if name.isupper() and not name.startswith("_")}


def _explain(error: ValidationError) -> SettingsError:
    first = error.errors()[0]
    if not first["loc"]:  # settings that do not fit together; the input is all of them, secrets too
        reason = first["msg"].removeprefix("Value error, ")
        return SettingsError(reason, setting=reason.partition(":")[0])
    name = str(first["loc"][0]).upper()
    if first["type"] == "extra_forbidden":
        return SettingsError(f"{name}: there is no such setting; conf/settings.py.dist lists all of them", setting=name)
    expected = Settings.model_fields[name.lower()].description if name.lower() in Settings.model_fields else None
    # Our own checks say it better than the field, and the field says it better than pydantic.
    ours = first["type"] == "value_error" or expected is None
    reason = first["msg"].removeprefix("Value error, ") if ours else f"expected {expected}"
    shown = "" if name in SECRETS else f" (it is {first['input']!r})"
    return SettingsError(f"{name}: {reason}{shown}", setting=name)


def client_key(environment: Mapping[str, str] | None = None) -> str:
    """The API key of the command-line client's user, ``KNOSSOS_API_KEY``; "" where it is not set."""
    return (os.environ if environment is None else environment).get("KNOSSOS_API_KEY", "")
