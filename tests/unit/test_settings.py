"""Settings: what a file and the environment may say, and what the messages tell the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from knossos.errors import SettingsError
from knossos.settings import ROOT, Settings
from knossos.settings_file import load_settings
from scripts import settings_template


def settings_file(folder: Path, text: str) -> dict[str, str]:
    path = folder / "settings.py"
    path.write_text(text)
    return {"KNOSSOS_SETTINGS": str(path), "KNOSSOS_DATA": str(folder / "data")}


def test_without_file_and_environment_everything_has_a_default(tmp_path: Path) -> None:
    settings = load_settings({"KNOSSOS_DATA": str(tmp_path)})
    assert settings.api_listen == ("127.0.0.1", 8080)
    assert settings.mirror_folder == tmp_path / "mirror"
    assert settings.database_url == f"sqlite:///{tmp_path}/knossos.sqlite3"
    assert settings.result_lifetime == 600
    assert settings.open_watch is False


def test_a_file_sets_what_it_names_and_only_that(tmp_path: Path) -> None:
    settings = load_settings(settings_file(tmp_path, 'API_LISTEN = ("0.0.0.0", 9000)\nAPI_KEYS = ["a" * 20]\n'))
    assert settings.api_listen == ("0.0.0.0", 9000)
    assert settings.api_keys == ("a" * 20,)
    assert settings.ws_listen == ("127.0.0.1", 8085)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environment = settings_file(tmp_path, 'REDIS = "redis://file/0"\nWORKERS = 1\n')
    settings = load_settings({**environment, "REDIS": "rediss://:pw@env:6380/2", "WORKERS": "3"})
    assert settings.redis == "rediss://:pw@env:6380/2"
    assert settings.workers == 3


def test_a_relative_folder_is_below_the_project(tmp_path: Path) -> None:
    assert load_settings({"KNOSSOS_DATA": "elsewhere"}).data_path == ROOT / "elsewhere"


def test_the_redis_that_launch_sh_runs_is_found_where_none_is_set(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "url").write_text("unix://:secret@/a/redis.sock\n")
    assert load_settings({"KNOSSOS_DATA": str(tmp_path)}).redis == "unix://:secret@/a/redis.sock"
    mine = {"KNOSSOS_DATA": str(tmp_path), "REDIS": "redis://mine/1"}
    assert load_settings(mine).redis == "redis://mine/1"


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        ('MIROR_PATH = "/srv"', "MIROR_PATH", "there is no such setting"),
        ('API_LISTEN = ("127.0.0.1", 99999)', "API_LISTEN", "65535"),
        ('REDIS = "http://x"', "REDIS", "redis://"),
        ('API_KEYS = "secret-key"', "API_KEYS", "tuple"),
        ('UPLOAD_PATH = "../x"', "UPLOAD_PATH", "relative folder"),
        ('ALLOWED_PRIVATE_NETWORKS = ("ten",)', "ALLOWED_PRIVATE_NETWORKS", "10.0.0.0/8"),
        ("RESULT_LIFETIME = -1", "RESULT_LIFETIME", "expected a number of seconds from 0.001 to 315360000"),
        ('RESULT_LIFETIME = float("inf")', "RESULT_LIFETIME", "expected a number of seconds"),
        ('RESULT_LIFETIME = float("nan")', "RESULT_LIFETIME", "expected a number of seconds"),
        ("TASK_LIFETIME = 1e300", "TASK_LIFETIME", "expected a number of seconds"),
        ('ARCHIVE_MAX_RATIO = float("inf")', "ARCHIVE_MAX_RATIO", "expected a number from 1"),
        ("DOWNLOAD_MAX_BYTES = 10**30", "DOWNLOAD_MAX_BYTES", "expected a whole number from 1 to"),
        ('WORKERS = "many"', "WORKERS", "expected a whole number from 1 to 1000"),
        ("WORKERS = 0", "WORKERS", "expected a whole number from 1 to 1000"),
        ("API_LISTEN = 8080", "API_LISTEN", "expected a host and a port"),
        ("OPEN_WATCH = 5", "OPEN_WATCH", "expected True or False"),
        ('LOG_FORMAT = "yaml"', "LOG_FORMAT", 'expected "text" or "json"'),
        ("PUBLIC_URL = 5", "PUBLIC_URL", "expected a text"),
        ('SCRIPT_CALLBACK = "https://mods.example"', "SCRIPT_CALLBACK", "plain HTTP"),
        ('SCRIPT_CALLBACK = "http://mods.example/x"', "SCRIPT_CALLBACK", "without a path"),
        ("ALLOWED_PRIVATE_NETWORKS = (5,)", "ALLOWED_PRIVATE_NETWORKS", "expected a tuple of texts"),
        ("MIRROR_PATH = 5", "MIRROR_PATH", "expected the path of a folder"),
        ('WORK_PATH = "~nobody-has-this-name/x"', "WORK_PATH", "expected the path of a folder"),
        ('REDIS = "redis://127.0.0.1:abc/0"', "REDIS", "a port from 1 to 65535"),
        ('REDIS = "redis://127.0.0.1:0/0"', "REDIS", "a port from 1 to 65535"),
        ('REDIS = "redis://127.0.0.1:6379/abc"', "REDIS", "a database's number"),
        ('REDIS = "redis://[::1/0"', "REDIS", "such as redis://"),
        ('DATABASE = "foo"', "DATABASE", "expected an SQLAlchemy URL"),
        ('DATABASE = "mysql+pymysql://host/name"', "DATABASE", "of PostgreSQL"),
        ('SMTP = "smtp://user:password@host:abc"', "SMTP", "expected '' or a URL such as"),
        ('SMTP = "smtp://[::1"', "SMTP", "expected '' or a URL such as"),
        ('MAIL_FROM = "Knossos"', "MAIL_FROM", "expected a sender such as"),
        ('MAIL_FROM = "a@example.org\\nBcc: b@example.org"', "MAIL_FROM", "expected a sender such as"),
    ],
)
def test_a_wrong_setting_is_named_and_the_message_says_what_it_should_be(
    tmp_path: Path, line: str, name: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_file(tmp_path, line))
    assert caught.value.setting == name
    assert name in str(caught.value)
    assert expected in str(caught.value)


def test_a_secret_is_not_shown_in_a_message(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_file(tmp_path, 'API_KEYS = ("hunter2",)'))
    assert "hunter2" not in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a file"):
        load_settings({"KNOSSOS_SETTINGS": str(tmp_path / "none.py")})
    with pytest.raises(SettingsError, match="SyntaxError"):
        load_settings(settings_file(tmp_path, "API_KEYS = ("))


@pytest.mark.parametrize("text", ["import sys\nsys.exit(7)", "raise SystemExit", "raise ValueError('one\\ntwo')"])
def test_a_file_that_ends_the_program_is_named_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"settings\.py: (SystemExit|ValueError).*expected a Python file") as caught:
        load_settings(settings_file(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h/", "rediss://:pw@h:1/5", "redis://[::1]:6379/0", "unix://:pw@/a/b.sock?db=2", "unix:///a"],
)
def test_the_usual_ways_to_write_a_redis_are_taken(url: str) -> None:
    assert Settings(redis=url).redis == url


def test_another_users_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis" / "url").mkdir(parents=True)  # as unreadable for root as a file of another user is for others
    with pytest.raises(SettingsError, match=r"DATA_PATH.*cannot be read"):
        load_settings({"KNOSSOS_DATA": str(tmp_path)})


def test_the_template_is_what_scripts_settings_template_writes() -> None:
    template = (ROOT / "conf" / "settings.py.dist").read_text()
    assert template == settings_template.text(), "run: make template"


def test_the_template_lists_every_setting_with_its_default(tmp_path: Path) -> None:
    template = (ROOT / "conf" / "settings.py.dist").read_text()
    lines = [line.removeprefix("# ") for line in template.splitlines() if line.startswith("# ") and " = " in line]
    assignments = [line for line in lines if line.split(" = ")[0].isupper()]
    listed = {line.split(" = ")[0].lower() for line in assignments}
    assert listed == set(Settings.model_fields)
    settings = load_settings(settings_file(tmp_path, "\n".join(assignments)))
    for name in listed - {"data_path"}:
        assert getattr(settings, name) == getattr(Settings(), name), name


def test_the_template_itself_changes_nothing(tmp_path: Path) -> None:
    template = (ROOT / "conf" / "settings.py.dist").read_text()
    settings = load_settings(settings_file(tmp_path, template))
    assert settings == load_settings({"KNOSSOS_DATA": str(tmp_path / "data")})


@pytest.mark.parametrize(
    ("lines", "setting", "expected"),
    [
        ('AUTH_PROVIDER = "auth0"', "AUTH0_DOMAIN", "AUTH0_DOMAIN, AUTH0_API_AUDIENCE: expected a value"),
        ('AUTH_PROVIDER = "auth0"\nAUTH0_DOMAIN = "a.example"', "AUTH0_API_AUDIENCE", 'since AUTH_PROVIDER is "auth0"'),
        ('AUTH_PROVIDER = "oidc"\nOIDC_AUDIENCE = "a"', "OIDC_ISSUER", 'since AUTH_PROVIDER is "oidc"'),
        ('AUTH0_DOMAIN = "https://a.example"', "AUTH0_DOMAIN", "without https://"),
        ('OIDC_ISSUER = "ws://a.example"', "OIDC_ISSUER", "expected an address"),
        ('OIDC_ISSUER = "https://u:p@a.example"', "OIDC_ISSUER", "expected an address"),
    ],
)
def test_who_may_call_runners_is_said_wholly_or_not_at_all(
    tmp_path: Path, lines: str, setting: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_file(tmp_path, f'SECRET_KEY = "{"s" * 40}"\n{lines}'))
    # The first that is lacking may stand beside others.
    assert setting in caught.value.setting
    assert expected in caught.value.message
    assert "ssss" not in caught.value.message
