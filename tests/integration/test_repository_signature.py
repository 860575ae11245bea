"""Signatures of the repository, checked by the program that people check them with."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from knossos.database import Database
from knossos.publishing.repository.signature import KEY_FILE, Signer
from knossos.settings import Settings
from tests.support.releases_world import World
from tests.support.system import program


@pytest.fixture
def world(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "database").mkdir()
    (tmp_path / "database" / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    database = Database(Settings(data_path=tmp_path / "database"))
    made = World(database, tmp_path)
    made.publish()
    made.bring_up()
    yield made
    database.close()


def verify(world: World, file: Path, signature: Path) -> str | None:
    """The trusted comment, where minisign accepts the signature; else None."""
    command = [program("minisign"), "-Vm", str(file), "-x", str(signature), "-p", str(world.public / "minisign.pub")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode:
        return None
    return done.stdout.partition("Trusted comment: ")[2].strip()


@pytest.mark.parametrize("name", ["repo.json", "repo_minimal.json"])
def test_minisign_accepts_the_lists_and_refuses_changed_ones(world: World, tmp_path: Path, name: str) -> None:
    signature = world.public / f"{name}.minisig"
    comment = verify(world, world.public / name, signature)
    assert comment is not None
    fields = dict(field.split(":", 1) for field in comment.split("\t"))
    assert (fields["file"], fields["change"]) == (name, "1")
    assert fields["timestamp"].isdigit()
    assert (world.public / fields["same"]).read_bytes() == (world.public / name).read_bytes()
    changed = tmp_path / name
    changed.write_bytes((world.public / name).read_bytes().replace(b"1.0.0", b"1.0.1"))
    assert verify(world, changed, signature) is None
    forged = tmp_path / "forged.minisig"
    forged.write_text(signature.read_text().replace("change:1", "change:2"))
    assert verify(world, world.public / name, forged) is None


def test_whoever_has_a_signature_gets_the_very_file_it_is_for_also_after_an_update(
    world: World, tmp_path: Path
) -> None:
    fetched = tmp_path / "fetched.minisig"
    fetched.write_bytes((world.public / "repo.json.minisig").read_bytes())
    world.publish("alpha", "1.1.0")
    world.bring_up()
    assert verify(world, world.public / "repo.json", fetched) is None
    name = fetched.read_text().partition("\tsame:")[2].splitlines()[0]
    assert verify(world, world.public / name, fetched) is not None
    assert verify(world, world.public / "repo.json", world.public / "repo.json.minisig") is not None


def test_signed_again_the_lists_stay_and_only_the_time_is_new(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in world.public.glob("*.json")}
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert world.machine.repository.sign_again()
    assert {path.name: path.read_bytes() for path in world.public.glob("*.json")} == before
    for name in ("repo.json", "repo_minimal.json"):
        comment = verify(world, world.public / name, world.public / f"{name}.minisig")
        assert comment is not None
        assert comment.startswith(f"timestamp:2000000000\tfile:{name}\tchange:1\t")
        by_contents = world.public / f"{comment.partition('same:')[2]}.minisig"
        assert by_contents.read_bytes() == (world.public / f"{name}.minisig").read_bytes()


def test_nothing_is_signed_again_before_there_is_something(world: World) -> None:
    assert world.machine_called("other", storage=str(world.folder / "empty")).repository.sign_again() is False


def test_a_key_that_was_replaced_signs_what_is_published_already(world: World) -> None:
    old = (world.public / "minisign.pub").read_text()
    (world.machine.settings.data_path / KEY_FILE).unlink()
    world.machine.repository.rebuild()
    assert (world.public / "minisign.pub").read_text() != old
    assert verify(world, world.public / "repo.json", world.public / "repo.json.minisig") is not None


def test_the_key_is_the_servers_alone(world: World) -> None:
    path = world.machine.settings.data_path / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    secret = path.read_bytes().strip()
    assert secret not in world.bytes_everywhere()
    assert base64.urlsafe_b64decode(secret + b"=") not in world.bytes_everywhere()


def test_the_form_is_that_of_the_minisign_page() -> None:
    """Held by another reading of that page, for machines without the program."""
    signer = Signer(bytes(range(32)))
    blake2b = hashlib.blake2b(b"data").digest()
    untrusted, signature, trusted, both = signer.sign(blake2b, "file:data").splitlines()
    key_line, key_text = signer.public_key.splitlines()
    key, raw = base64.b64decode(key_text), base64.b64decode(signature)
    assert untrusted.startswith("untrusted comment: ")
    assert (key[:2], raw[:2], key[2:10]) == (b"Ed", b"ED", raw[2:10])
    assert key_line.endswith(key[2:10][::-1].hex().upper())
    public = Ed25519PublicKey.from_public_bytes(key[10:])
    public.verify(raw[10:], blake2b)
    assert trusted == "trusted comment: file:data"
    public.verify(base64.b64decode(both), raw[10:] + b"file:data")
    with pytest.raises(InvalidSignature):
        public.verify(raw[10:], hashlib.blake2b(b"other").digest())
