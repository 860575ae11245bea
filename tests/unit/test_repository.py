"""The repository JSON: its exact shape, and the types that clients insist on."""

from __future__ import annotations

import json

from knossos.packaging.description import parse_request
from knossos.packaging.repository import (
    InstalledFile,
    Repository,
    RepositoryFile,
    repository_mod,
    repository_package,
)

MD5, SHA256 = "a" * 32, "b" * 64


def repository_of(description: dict[str, object], **more: object) -> dict[str, object]:
    (mod,) = parse_request(json.dumps(description)).mods
    packages = []
    for package in mod.packages:
        files = [
            RepositoryFile(
                filename=file.filename,
                is_archive=file.is_archive,
                dest=file.dest,
                urls=file.urls,
                filesize=7,
                md5sum=MD5,
                checksum=("sha256", SHA256),
            )
            for file in package.files
        ]
        listed = InstalledFile(filename="x", archive="a.7z", orig_name="x", md5sum=MD5, checksum=("sha256", SHA256))
        packages.append(repository_package(package, files, [listed]))
    out = repository_mod(mod, packages, mod.actions, mod.logo)
    return json.loads(json.dumps(Repository(generated=5, mods=[out], **more).as_json()))  # type: ignore[arg-type,no-any-return]


def test_a_bare_mod_comes_out_with_every_default() -> None:
    description = {
        "id": "m",
        "title": "M",
        "version": "3.7",
        "packages": [{"name": "P", "files": [{"filename": "a.7z", "urls": ["https://example.org/a.7z"]}]}],
    }
    assert repository_of(description) == {
        "generated": 5,
        "mods": [
            {
                "id": "m",
                "title": "M",
                "version": "3.7",
                "type": "mod",
                "folder": "m",
                "description": "",
                "notes": "",
                "cmdline": "",
                "logo": None,
                "tile": None,
                "banner": None,
                "release_thread": None,
                "videos": [],
                "screenshots": [],
                "attachments": [],
                "first_release": None,
                "last_update": None,
                "parent": None,
                "stability": None,
                "mod_flag": [],
                "owners": [],
                "private": False,
                "custom_build": None,
                "packages": [
                    {
                        "name": "P",
                        "notes": "",
                        "folder": None,
                        "is_vp": False,
                        "status": "recommended",
                        "dependencies": [],
                        "environment": "",
                        "executables": [],
                        "files": [
                            {
                                "filename": "a.7z",
                                "is_archive": True,
                                "dest": "",
                                "urls": ["https://example.org/a.7z"],
                                "filesize": 7,
                                "md5sum": MD5,
                                "checksum": ["sha256", SHA256],
                            }
                        ],
                        "filelist": [
                            {
                                "filename": "x",
                                "archive": "a.7z",
                                "orig_name": "x",
                                "md5sum": MD5,
                                "checksum": ["sha256", SHA256],
                            }
                        ],
                    }
                ],
                "actions": [],
            }
        ],
    }


def test_what_the_description_says_is_kept() -> None:
    description = {
        "id": "m",
        "title": "M",
        "version": "1.0.0-rc.1",
        "type": "engine",
        "stability": "rc",
        "folder": "/x/",
        "owners": ["me"],
        "private": True,
        "custom_build": {"any": ["thing"]},
        "first_release": "2020-02-29",
        "mod_flag": ["m"],
        "packages": [
            {
                "name": "P",
                "status": "OPTIONAL",
                "environment": "windows && x86_64",
                "dependencies": [{"id": "FSO", "version": ">=3.8", "packages": ["MediaVPs"]}],
                "executables": [{"file": "fs2.exe", "label": "Fred", "properties": {"x64": True}, "debug": True}],
            }
        ],
        "actions": [{"type": "delete", "paths": ["x"]}, {"type": "move", "paths": ["a"], "dest": "b", "glob": False}],
    }
    (mod,) = repository_of(description)["mods"]  # type: ignore[misc]
    expected = {key: value for key, value in description.items() if key not in ("packages", "actions", "folder")}
    assert {key: mod[key] for key in expected} == expected
    assert mod["folder"] == "x"
    (package,) = mod["packages"]
    assert package["status"] == "optional"
    assert package["environment"] == "windows && x86_64"
    assert package["dependencies"] == [{"id": "FSO", "version": ">=3.8", "packages": ["MediaVPs"]}]
    assert package["executables"] == [
        {"file": "fs2.exe", "version": None, "label": "Fred", "properties": {"x64": True}, "debug": True}
    ]
    assert mod["actions"] == [
        {"type": "delete", "glob": True, "paths": ["x"]},
        {"type": "move", "glob": False, "paths": ["a"], "dest": "b"},
    ]


def test_remote_includes_are_kept_where_there_are_some() -> None:
    description = {"id": "m", "title": "M", "version": "1.0.0"}
    assert "remote_includes" not in repository_of(description)
    links = ["https://example.org/other.json"]
    assert repository_of(description, remote_includes=links)["remote_includes"] == links


def test_the_output_can_be_sent_in_as_a_description_again() -> None:
    description = {
        "id": "m",
        "title": "M",
        "version": "1.0.0",
        "packages": [{"name": "P", "files": [{"filename": "a.7z", "urls": ["https://example.org/a.7z"]}]}],
    }
    out = repository_of(description)
    again = parse_request(json.dumps({"mods": out["mods"]}))
    (file,) = out["mods"][0]["packages"][0]["files"]
    description["packages"][0]["files"][0] |= {name: file[name] for name in ("filesize", "md5sum", "checksum")}
    assert again.mods == parse_request(json.dumps(description)).mods
    assert all("filelist" in line for line in again.warnings)
