"""Settings: what a file and the environment may say, and what the messages tell the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from knossos.errors import SettingsError
from knossos.settings import ROOT, Settings, load_settings
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
        ("RESULT_LIFETIME = -1", "RESULT_LIFETIME", "greater than 0"),
        ('WORKERS = "many"', "WORKERS", "integer"),
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
